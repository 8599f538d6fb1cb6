package main

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"

	"ottla.io/tests/clients/scenarios"
)

// record is the i-th of those that are sent: keyed by its last digit, with a header.
func record(topic string, i int) *sarama.ProducerMessage {
	number := sarama.StringEncoder(fmt.Sprint(i))
	header := sarama.RecordHeader{Key: []byte("number"), Value: []byte(number)}
	return &sarama.ProducerMessage{
		Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("key-%d", i%10)), Value: number,
		Headers: []sarama.RecordHeader{header},
	}
}

func records(topic string, begin, end int) []*sarama.ProducerMessage {
	var made []*sarama.ProducerMessage
	for i := begin; i < end; i++ {
		made = append(made, record(topic, i))
	}
	return made
}

// fill sends the records "begin" … "end-1" and waits for their acks.
func (c *cluster) fill(topic string, begin, end int, config *sarama.Config) error {
	producer, err := sarama.NewSyncProducer(c.bootstrap, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	return producer.SendMessages(records(topic, begin, end))
}

// read gives count records of the only partition of the topic.
func (c *cluster) read(ctx context.Context, topic string, count int, config *sarama.Config) ([]*sarama.ConsumerMessage, error) {
	consumer, err := sarama.NewConsumer(c.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	var found []*sarama.ConsumerMessage
	for len(found) < count {
		select {
		case message := <-partition.Messages():
			found = append(found, message)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records came: %w", len(found), count, ctx.Err())
		}
	}
	return found, nil
}

// inOrder says how the records are not "0", "1" … with their keys and headers.
func inOrder(found []*sarama.ConsumerMessage) error {
	for i, message := range found {
		number, key := fmt.Sprint(i), fmt.Sprintf("key-%d", i%10)
		if string(message.Value) != number || string(message.Key) != key || len(message.Headers) != 1 ||
			string(message.Headers[0].Value) != number {
			return fmt.Errorf("record %d is %q, %q with %v", i, message.Key, message.Value, message.Headers)
		}
	}
	return nil
}

func codecs(ctx context.Context, c *cluster) error {
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		const count = 2000
		topic, err := c.topic(codec.String(), 1)
		if err != nil {
			return err
		}
		config := c.config()
		config.Producer.Compression = codec
		// Their order is only kept one request at a time.
		config.Net.MaxOpenRequests = 1
		if err := c.fill(topic, 0, count, config); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
		found, err := c.read(ctx, topic, count, c.config())
		if err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
		if err := inOrder(found); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
	}
	return nil
}

func idempotent(ctx context.Context, c *cluster) error {
	const count = 5000
	topic, err := c.topic("idempotent", 1)
	if err != nil {
		return err
	}
	if err := c.fill(topic, 0, count, c.idempotent()); err != nil {
		return err
	}
	found, err := c.read(ctx, topic, count, c.config())
	if err != nil {
		return err
	}
	return inOrder(found)
}

// transactions commits one transaction, aborts another and commits a third; who reads what is committed gets two of them.
func transactions(ctx context.Context, c *cluster) error {
	const count = 300
	topic, err := c.topic("transactions", 1)
	if err != nil {
		return err
	}
	config := c.idempotent()
	config.Producer.Transaction.ID = topic
	producer, err := sarama.NewSyncProducer(c.bootstrap, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	all := records(topic, 0, count)
	for third, end := range []func() error{producer.CommitTxn, producer.AbortTxn, producer.CommitTxn} {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
		if err := producer.SendMessages(all[third*count/3 : (third+1)*count/3]); err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
	}
	committed := c.config()
	committed.Consumer.IsolationLevel = sarama.ReadCommitted
	found, err := c.read(ctx, topic, 2*count/3, committed)
	if err != nil {
		return err
	}
	var values []string
	for i, message := range found {
		number := i
		if i >= count/3 {
			number += count / 3
		}
		if string(message.Value) != fmt.Sprint(number) {
			return fmt.Errorf("committed record %d is %q", i, message.Value)
		}
	}
	everything, err := c.read(ctx, topic, count, c.config())
	if err != nil {
		return err
	}
	for _, message := range everything {
		values = append(values, string(message.Value))
	}
	return scenarios.SameOnce(values, count)
}
