package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const heartbeat = 200 * time.Millisecond

// poll takes what has come to a member within a moment.
func poll(ctx context.Context, m *member) ([]*kgo.Record, error) {
	moment, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	fetches := m.client.PollFetches(moment)
	if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return fetches.Records(), ctx.Err()
}

// committed checks that the offsets a group has committed add up to count.
func committed(ctx context.Context, client *kgo.Client, group string, count int64) error {
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	var sum int64
	offsets.Each(func(offset kadm.OffsetResponse) { sum += offset.At })
	if sum != count {
		return fmt.Errorf("the group has committed %d of %d", sum, count)
	}
	return nil
}

func transactions(ctx context.Context, c *cluster) error {
	topic, err := c.topic(ctx, "transactions", 3)
	if err != nil {
		return err
	}
	client, err := c.client(kgo.TransactionalID(c.name("tx")), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := client.ProduceSync(ctx, records(100)...).FirstErr(); err != nil {
			return err
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			return err
		}
	}
	// One more that commits, so that whoever reads what is committed comes by the last that was aborted.
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Value: []byte("100")}).FirstErr(); err != nil {
		return err
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	found, err := c.read(ctx, topic, 101, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	if err := sameOnce(found, 101); err != nil {
		return err
	}
	_, err = c.read(ctx, topic, 301, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	return err
}

// consumeTransformProduce copies a topic with transactions that carry the group's offsets; every third is aborted first.
func consumeTransformProduce(ctx context.Context, c *cluster) error {
	const count = 1000
	source, err := c.topic(ctx, "eos-in", 3)
	if err != nil {
		return err
	}
	target, err := c.topic(ctx, "eos-out", 3)
	if err != nil {
		return err
	}
	if err := c.fill(ctx, source, count); err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(c.bootstrap), kgo.TransactionalID(c.name("tx")), kgo.DefaultProduceTopic(target),
		kgo.ConsumerGroup(source), kgo.ConsumeTopics(source), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	for copied, turn := 0, 1; copied < count; turn++ {
		fetches := session.PollRecords(ctx, 100)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d records copied: %w", copied, count, err)
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var batch []*kgo.Record
		for _, record := range fetches.Records() {
			batch = append(batch, &kgo.Record{Key: record.Key, Value: record.Value})
		}
		if err := session.ProduceSync(ctx, batch...).FirstErr(); err != nil {
			return err
		}
		done, err := session.End(ctx, kgo.TransactionEndTry(turn%3 != 0))
		if err != nil {
			return err
		}
		if done {
			copied += len(batch)
		}
	}
	found, err := c.read(ctx, target, count, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	return sameOnce(found, count)
}

func fenced(ctx context.Context, c *cluster) error {
	topic, err := c.topic(ctx, "fenced", 1)
	if err != nil {
		return err
	}
	id := c.name("tx")
	zombie, err := c.client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer zombie.Close()
	if err := zombie.BeginTransaction(); err != nil {
		return err
	}
	if err := zombie.ProduceSync(ctx, &kgo.Record{Value: []byte("zombie")}).FirstErr(); err != nil {
		return err
	}
	heir, err := c.client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer heir.Close()
	if err := heir.BeginTransaction(); err != nil {
		return err
	}
	if err := heir.ProduceSync(ctx, &kgo.Record{Value: []byte("0")}).FirstErr(); err != nil {
		return err
	}
	if err := heir.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	err = zombie.EndTransaction(ctx, kgo.TryCommit)
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		return fmt.Errorf("the zombie was told %v", err)
	}
	found, err := c.read(ctx, topic, 1, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	return sameOnce(found, 1)
}
