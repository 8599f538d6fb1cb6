package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/IBM/sarama"

	"ottla.io/tests/clients/scenarios"
)

// member is one of a group, which reads as long as it is in it.
type member struct {
	group sarama.ConsumerGroup
	ended chan struct{}

	mutex  sync.Mutex
	owned  map[int32]bool
	values []string
	failed error
}

// Setup is called by sarama when partitions are given to the member.
func (m *member) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup is called by sarama at the end of a generation: what was read is committed before others go on from there.
func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	return nil
}

// ConsumeClaim reads one partition while it is the member's.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.own(claim.Partition(), true)
	defer m.own(claim.Partition(), false)
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.mutex.Lock()
			m.values = append(m.values, string(message.Value))
			m.mutex.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) own(partition int32, owns bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if owns {
		m.owned[partition] = true
	} else {
		delete(m.owned, partition)
	}
}

// look is what the member owns and has read by now, and why it has failed.
func (m *member) look() ([]int32, []string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var owned []int32
	for partition := range m.owned {
		owned = append(owned, partition)
	}
	return owned, slices.Clone(m.values), m.failed
}

func (m *member) leave() error {
	err := m.group.Close()
	<-m.ended
	return err
}

// join makes a member of the group that has the topic's name.
func join(ctx context.Context, c *cluster, topic string, strategy sarama.BalanceStrategy) (*member, error) {
	config := c.config()
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	group, err := sarama.NewConsumerGroup(c.bootstrap, topic, config)
	if err != nil {
		return nil, err
	}
	joined := &member{group: group, ended: make(chan struct{}), owned: make(map[int32]bool)}
	go func() {
		defer close(joined.ended)
		// Each call is a generation of the group.
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, joined); err != nil {
				if !errors.Is(err, sarama.ErrClosedConsumerGroup) {
					joined.mutex.Lock()
					joined.failed = err
					joined.mutex.Unlock()
				}
				return
			}
		}
	}()
	return joined, nil
}

// group lets three members share six partitions, read every record once, and one of them leave; the rest is then shared
// by two, and everything is committed.
func group(ctx context.Context, c *cluster, strategy sarama.BalanceStrategy) error {
	const partitions, count = 6, 600
	topic, err := c.topic("group", partitions)
	if err != nil {
		return err
	}
	var members []*member
	for range 3 {
		joined, err := join(ctx, c, topic, strategy)
		if err != nil {
			return err
		}
		members = append(members, joined)
	}
	if err := settled(ctx, members, partitions); err != nil {
		return err
	}
	if err := c.fill(topic, 0, count/2, c.config()); err != nil {
		return err
	}
	if err := come(ctx, members, count/2); err != nil {
		return err
	}
	if err := members[2].leave(); err != nil {
		return err
	}
	if err := settled(ctx, members[:2], partitions); err != nil {
		return err
	}
	if err := c.fill(topic, count/2, count, c.config()); err != nil {
		return err
	}
	if err := come(ctx, members, count); err != nil {
		return err
	}
	for _, member := range members[:2] {
		if err := member.leave(); err != nil {
			return err
		}
	}
	return committed(c, topic, partitions, count)
}

// settled waits until the members own all partitions, each as many as the others.
func settled(ctx context.Context, members []*member, partitions int) error {
	return until(ctx, func() (bool, error) {
		var all []int32
		fair := true
		for _, member := range members {
			owned, _, err := member.look()
			if err != nil {
				return false, err
			}
			fair = fair && len(owned) == partitions/len(members)
			all = append(all, owned...)
		}
		slices.Sort(all)
		return fair && len(slices.Compact(all)) == partitions, nil
	})
}

// come waits until the members have read the records "0" … "count-1", each once.
func come(ctx context.Context, members []*member, count int) error {
	var values []string
	err := until(ctx, func() (bool, error) {
		values = nil
		for _, member := range members {
			_, read, err := member.look()
			if err != nil {
				return false, err
			}
			values = append(values, read...)
		}
		return len(values) >= count, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d records came: %w", len(values), count, err)
	}
	return scenarios.SameOnce(values, count)
}

// committed compares what the group has committed over all partitions with count.
func committed(c *cluster, group string, partitions int32, count int64) error {
	admin, err := sarama.NewClusterAdmin(c.bootstrap, c.config())
	if err != nil {
		return err
	}
	defer admin.Close()
	all := make([]int32, partitions)
	for partition := range all {
		all[partition] = int32(partition)
	}
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{group: all})
	if err != nil {
		return err
	}
	var sum int64
	for _, partition := range all {
		if block := offsets.GetBlock(group, partition); block != nil && block.Offset > 0 {
			sum += block.Offset
		}
	}
	if sum != count {
		return fmt.Errorf("the group has committed %d of %d", sum, count)
	}
	return nil
}
