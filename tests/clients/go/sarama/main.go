// Package main drives a broker with sarama: codecs, an idempotent producer, transactions, groups and the admin client.
// Usage: sarama BOOTSTRAP
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"ottla.io/tests/clients/scenarios"
)

// cluster makes clients of the broker under test, and topics of names that nobody used.
type cluster struct {
	bootstrap []string
	run       int64
	names     int
}

func (c *cluster) name(what string) string {
	c.names++
	return fmt.Sprintf("sarama-%s-%d-%d", what, c.run, c.names)
}

// config is that of all clients: every API in the newest version that sarama has.
func (c *cluster) config() *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "ottla-tests"
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	config.Metadata.Retry.Backoff = 50 * time.Millisecond
	return config
}

// idempotent is the configuration of a producer whose retries do not double records.
func (c *cluster) idempotent() *sarama.Config {
	config := c.config()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	return config
}

// topic makes one.
func (c *cluster) topic(what string, partitions int32) (string, error) {
	admin, err := sarama.NewClusterAdmin(c.bootstrap, c.config())
	if err != nil {
		return "", err
	}
	defer admin.Close()
	name := c.name(what)
	return name, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
}

func main() {
	under := &cluster{bootstrap: []string{scenarios.Bootstrap()}, run: time.Now().UnixMilli()}
	with := func(strategy func() sarama.BalanceStrategy) func(context.Context, *cluster) error {
		return func(ctx context.Context, c *cluster) error { return group(ctx, c, strategy()) }
	}
	scenarios.Play(under, []scenarios.Scenario[*cluster]{
		{Name: "producer: codecs", Run: codecs},
		{Name: "producer: idempotent", Run: idempotent},
		{Name: "transactions: committed and aborted", Run: transactions},
		{Name: "groups: range", Run: with(sarama.NewBalanceStrategyRange)},
		{Name: "groups: sticky", Run: with(sarama.NewBalanceStrategySticky)},
		{Name: "groups: cooperative", Run: with(sarama.NewBalanceStrategyCooperativeSticky)},
		{Name: "admin: topics, configs and groups", Run: admin},
	})
}
