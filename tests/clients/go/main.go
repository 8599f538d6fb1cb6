// Package main drives a broker with franz-go: codecs, groups, transactions and the admin client. Usage: franz BOOTSTRAP
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// limit is how long a scenario may take.
const limit = 30 * time.Second

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

type scenario struct {
	name string
	run  func(context.Context, *cluster) error
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: franz BOOTSTRAP")
		os.Exit(2)
	}
	under := &cluster{bootstrap: os.Args[1], run: time.Now().UnixMilli()}
	scenarios := []scenario{
		{"codecs", codecs},
		{"an eager group", eagerGroup},
		{"a cooperative group", cooperativeGroup},
		{"a committed and an aborted transaction", transactions},
		{"exactly once from topic to topic", consumeTransformProduce},
		{"a fenced producer", fenced},
		{"the admin client", admin},
	}
	failed := 0
	for _, scenario := range scenarios {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		began := time.Now()
		if err := scenario.run(ctx, under); err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", scenario.name, err)
		} else {
			fmt.Printf("ok   %s (%d ms)\n", scenario.name, time.Since(began).Milliseconds())
		}
		cancel()
	}
	fmt.Printf("%d passed, %d failed\n", len(scenarios)-failed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
