package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"ottla.io/tests/clients/scenarios"
)

// fill sends count records "0" … "count-1", keyed by the last digit, and waits for their acks.
func (c *cluster) fill(ctx context.Context, topic string, count int, options ...kgo.Opt) error {
	client, err := c.client(append(options, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, records(count)...).FirstErr()
}

func records(count int) []*kgo.Record {
	made := make([]*kgo.Record, count)
	for i := range made {
		made[i] = &kgo.Record{
			Key:     fmt.Appendf(nil, "key-%d", i%10),
			Value:   fmt.Append(nil, i),
			Headers: []kgo.RecordHeader{{Key: "number", Value: fmt.Append(nil, i)}},
		}
	}
	return made
}

// read polls until count records of the topic have come.
func (c *cluster) read(ctx context.Context, topic string, count int, options ...kgo.Opt) ([]*kgo.Record, error) {
	begin := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
	client, err := c.client(append(options, kgo.ConsumeTopics(topic), begin)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var found []*kgo.Record
	for len(found) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d of %d records came: %w", len(found), count, err)
		}
		found = append(found, fetches.Records()...)
	}
	return found, nil
}

// sameOnce says how the values of the records are not "0" … "count-1", each once.
func sameOnce(found []*kgo.Record, count int) error {
	values := make([]string, len(found))
	for i, record := range found {
		values[i] = string(record.Value)
	}
	return scenarios.SameOnce(values, count)
}

func codecs(ctx context.Context, c *cluster) error {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		const count = 2000
		topic, err := c.topic(ctx, name, 1)
		if err != nil {
			return err
		}
		if err := c.fill(ctx, topic, count, kgo.ProducerBatchCompression(codec)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		found, err := c.read(ctx, topic, count)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i, record := range found {
			if string(record.Value) != fmt.Sprint(i) || len(record.Headers) != 1 || string(record.Headers[0].Value) != fmt.Sprint(i) {
				return fmt.Errorf("%s: record %d is %q with %v", name, i, record.Value, record.Headers)
			}
		}
	}
	return nil
}

func eagerGroup(ctx context.Context, c *cluster) error {
	return group(ctx, c, kgo.Balancers(kgo.RangeBalancer()))
}

func cooperativeGroup(ctx context.Context, c *cluster) error {
	return group(ctx, c, kgo.Balancers(kgo.CooperativeStickyBalancer()))
}

// member is one of a group, and what it has read.
type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	owned  map[int32]bool
}

func (m *member) partitions() []int32 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var owned []int32
	for partition := range m.owned {
		owned = append(owned, partition)
	}
	return owned
}

func join(c *cluster, topic string, options ...kgo.Opt) (*member, error) {
	joined := &member{owned: make(map[int32]bool)}
	note := func(owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			joined.mutex.Lock()
			defer joined.mutex.Unlock()
			for _, partition := range changed[topic] {
				if owns {
					joined.owned[partition] = true
				} else {
					delete(joined.owned, partition)
				}
			}
		}
	}
	all := append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(heartbeat), kgo.OnPartitionsAssigned(note(true)),
		kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)),
	}, options...)
	var err error
	joined.client, err = c.client(all...)
	return joined, err
}

// group lets three members share six partitions, read every record once, commit, and one of them leave.
func group(ctx context.Context, c *cluster, balancer kgo.Opt) error {
	const partitions, count = 6, 1000
	topic, err := c.topic(ctx, "group", partitions)
	if err != nil {
		return err
	}
	var members []*member
	for range 3 {
		joined, err := join(c, topic, balancer)
		if err != nil {
			return err
		}
		defer joined.client.Close()
		members = append(members, joined)
	}
	if err := settled(ctx, members, partitions); err != nil {
		return err
	}
	if err := c.fill(ctx, topic, count); err != nil {
		return err
	}
	var found []*kgo.Record
	for turn := 0; len(found) < count; turn++ {
		polled, err := poll(ctx, members[turn%3])
		if err != nil {
			return fmt.Errorf("%d of %d records came: %w", len(found), count, err)
		}
		found = append(found, polled...)
	}
	if err := sameOnce(found, count); err != nil {
		return err
	}
	for _, member := range members {
		if err := member.client.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
	members[2].client.Close()
	if err := settled(ctx, members[:2], partitions); err != nil {
		return err
	}
	return committed(ctx, members[0].client, topic, count)
}

// settled waits until the members own all partitions, each as many as the others.
func settled(ctx context.Context, members []*member, partitions int) error {
	for ctx.Err() == nil {
		var all []int32
		fair := true
		for _, member := range members {
			if _, err := poll(ctx, member); err != nil {
				return err
			}
			owned := member.partitions()
			fair = fair && len(owned) == partitions/len(members)
			all = append(all, owned...)
		}
		slices.Sort(all)
		if fair && len(slices.Compact(all)) == partitions {
			return nil
		}
	}
	return fmt.Errorf("%d members do not share the partitions: %w", len(members), ctx.Err())
}
