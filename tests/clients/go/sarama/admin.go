package main

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// until asks again until it is so, or an error.
func until(ctx context.Context, ask func() (bool, error)) error {
	for {
		if is, err := ask(); is || err != nil {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// admin grows, configures, describes and deletes a topic, and deletes a group.
func admin(ctx context.Context, c *cluster) error {
	topic, err := c.topic("admin", 1)
	if err != nil {
		return err
	}
	adm, err := sarama.NewClusterAdmin(c.bootstrap, c.config())
	if err != nil {
		return err
	}
	defer adm.Close()
	if err := adm.CreatePartitions(topic, 3, nil, false); err != nil {
		return err
	}
	described, err := adm.DescribeTopics([]string{topic})
	if err != nil {
		return err
	}
	if count := len(described[0].Partitions); count != 3 {
		return fmt.Errorf("the topic has %d partitions", count)
	}
	if err := configs(ctx, adm, topic); err != nil {
		return err
	}
	if err := deleteGroup(c, adm, topic); err != nil {
		return err
	}
	if err := adm.DeleteTopic(topic); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		topics, err := adm.ListTopics()
		_, is := topics[topic]
		return !is, err
	})
}

func configs(ctx context.Context, adm sarama.ClusterAdmin, topic string) error {
	wanted := "54321"
	entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &wanted}
	set := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": entry}
	if err := adm.IncrementalAlterConfig(sarama.TopicResource, topic, set, false); err != nil {
		return err
	}
	resource := &sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}
	return until(ctx, func() (bool, error) {
		results, err := adm.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
		if err != nil {
			return false, err
		}
		configs := results[0].Configs
		return len(configs) == 1 && configs[0].Value == wanted && configs[0].Source == sarama.SourceTopic, nil
	})
}

// deleteGroup commits an offset for a group without members, and deletes the group.
func deleteGroup(c *cluster, adm sarama.ClusterAdmin, topic string) error {
	client, err := sarama.NewClient(c.bootstrap, c.config())
	if err != nil {
		return err
	}
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(topic, client)
	if err != nil {
		return err
	}
	partition, err := manager.ManagePartition(topic, 0)
	if err != nil {
		return err
	}
	partition.MarkOffset(7, "mark")
	manager.Commit()
	// To wait for it is to wait for the manager.
	partition.AsyncClose()
	if err := manager.Close(); err != nil {
		return err
	}
	if err := committed(c, topic, 1, 7); err != nil {
		return err
	}
	return adm.DeleteConsumerGroup(topic)
}
