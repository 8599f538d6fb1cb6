// Package main drives a broker with franz-go: codecs, groups, transactions and the admin client. Usage: franz BOOTSTRAP
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla.io/tests/clients/scenarios"
)

// cluster makes clients of the broker under test, and topics of names that nobody used.
type cluster struct {
	bootstrap string
	run       int64
	names     int
}

func (c *cluster) name(what string) string {
	c.names++
	return fmt.Sprintf("go-%s-%d-%d", what, c.run, c.names)
}

func (c *cluster) client(options ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{kgo.SeedBrokers(c.bootstrap), kgo.ClientID("ottla-tests"), kgo.MetadataMinAge(100 * time.Millisecond)}
	return kgo.NewClient(append(common, options...)...)
}

func (c *cluster) topic(ctx context.Context, what string, partitions int32) (string, error) {
	client, err := c.client()
	if err != nil {
		return "", err
	}
	defer client.Close()
	name := c.name(what)
	created, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name)
	if err != nil {
		return "", err
	}
	return name, created.Err
}

func main() {
	under := &cluster{bootstrap: scenarios.Bootstrap(), run: time.Now().UnixMilli()}
	scenarios.Play(under, []scenarios.Scenario[*cluster]{
		{Name: "producer: codecs", Run: codecs},
		{Name: "groups: eager", Run: eagerGroup},
		{Name: "groups: cooperative", Run: cooperativeGroup},
		{Name: "transactions: committed and aborted", Run: transactions},
		{Name: "transactions: exactly once from topic to topic", Run: consumeTransformProduce},
		{Name: "transactions: a fenced producer", Run: fenced},
		{Name: "admin: kadm", Run: admin},
	})
}
