package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// admin creates, alters, describes and deletes with kadm.
func admin(ctx context.Context, c *cluster) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	topic, err := c.topic(ctx, "admin", 2)
	if err != nil {
		return err
	}
	if grown, err := adm.UpdatePartitions(ctx, 4, topic); err != nil || grown.Error() != nil {
		return fmt.Errorf("the partitions were not added: %v, %v", err, grown.Error())
	}
	described, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	if count := len(described[topic].Partitions); count != 4 {
		return fmt.Errorf("the topic has %d partitions", count)
	}
	if err := alterConfig(ctx, adm, topic); err != nil {
		return err
	}
	if err := c.fill(ctx, topic, 100); err != nil {
		return err
	}
	if err := deleteRecords(ctx, adm, topic); err != nil {
		return err
	}
	offsets := make(kadm.Offsets)
	offsets.AddOffset(topic, 0, 3, -1)
	if err := adm.CommitAllOffsets(ctx, topic, offsets); err != nil {
		return err
	}
	if err := committed(ctx, client, topic, 3); err != nil {
		return err
	}
	groups, err := adm.DescribeGroups(ctx, topic)
	if err != nil {
		return err
	}
	if state := groups[topic].State; state != "Empty" {
		return fmt.Errorf("the group is %q", state)
	}
	if gone, err := adm.DeleteGroup(ctx, topic); err != nil || gone.Err != nil {
		return fmt.Errorf("the group was not deleted: %v, %v", err, gone.Err)
	}
	gone, err := adm.DeleteTopic(ctx, topic)
	if err != nil {
		return err
	}
	return gone.Err
}

func alterConfig(ctx context.Context, adm *kadm.Client, topic string) error {
	set := "54321"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &set}}, topic)
	if err != nil {
		return err
	}
	if _, err := altered.On(topic, nil); err != nil {
		return err
	}
	for ctx.Err() == nil {
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		found, err := configs.On(topic, nil)
		if err != nil {
			return err
		}
		for _, config := range found.Configs {
			if config.Key == "retention.ms" && config.MaybeValue() == set && config.Source == kmsg.ConfigSourceDynamicTopicConfig {
				return nil
			}
		}
	}
	return fmt.Errorf("retention.ms is not set: %w", ctx.Err())
}

func deleteRecords(ctx context.Context, adm *kadm.Client, topic string) error {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	deleted, err := adm.DeleteRecords(ctx, ends.Offsets())
	if err != nil {
		return err
	}
	if err := deleted.Error(); err != nil {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	var left int64
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		left += end.Offset - start.Offset
	})
	if left != 0 {
		return fmt.Errorf("%d records are left", left)
	}
	return nil
}
