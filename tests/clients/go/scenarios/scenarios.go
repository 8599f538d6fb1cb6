// Package scenarios plays the scenarios of a client one after the other and tells how each ends.
package scenarios

import (
	"context"
	"fmt"
	"os"
	"time"
)

// limit is how long a scenario may take.
const limit = 30 * time.Second

// Scenario is played against a cluster of the type that the client's program has for it. Its name begins with the feature
// that it is about and a colon.
type Scenario[C any] struct {
	Name string
	Run  func(context.Context, C) error
}

// Bootstrap is the only argument of the program.
func Bootstrap() string {
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s BOOTSTRAP\n", os.Args[0])
		os.Exit(2)
	}
	return os.Args[1]
}

// Play plays all scenarios and ends the program with 1 if any has failed.
func Play[C any](cluster C, all []Scenario[C]) {
	failed := 0
	for _, scenario := range all {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		began := time.Now()
		if err := scenario.Run(ctx, cluster); err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", scenario.Name, err)
		} else {
			fmt.Printf("ok   %s (%d ms)\n", scenario.Name, time.Since(began).Milliseconds())
		}
		cancel()
	}
	fmt.Printf("%d passed, %d failed\n", len(all)-failed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// SameOnce says how the values are not "0" … "count-1", each once.
func SameOnce(values []string, count int) error {
	seen := make(map[string]int)
	for _, value := range values {
		seen[value]++
	}
	for i := range count {
		if times := seen[fmt.Sprint(i)]; times != 1 {
			return fmt.Errorf("record %d came %d times", i, times)
		}
	}
	if len(values) != count {
		return fmt.Errorf("%d records came for %d", len(values), count)
	}
	return nil
}
