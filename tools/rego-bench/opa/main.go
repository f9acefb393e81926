// What OPA takes for the policies that `bench_rego -w DIRECTORY` wrote: compile,
// compile and first evaluation, prepared query on one processor and on all; in
// microseconds, a line of JSON for each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

var now = time.Unix(1767225600, 0)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "rego-bench-opa:", err)
		os.Exit(1)
	}
}

func read(dir, name string) []byte {
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(err)
	return b
}

// Microseconds of the fastest batch.
func fastest(budget time.Duration, f func()) float64 {
	batch, best := 1, time.Duration(1<<62)
	for start := time.Now(); time.Since(start) < budget; {
		before := time.Now()
		for i := 0; i < batch; i++ {
			f()
		}
		took := time.Since(before)
		best = min(best, took/time.Duration(batch))
		if took < 20*time.Microsecond {
			batch *= 2
		}
	}
	return float64(best.Nanoseconds()) / 1e3
}

type figures struct {
	Name     string  `json:"name"`
	Compile  float64 `json:"compile"`
	Cold     float64 `json:"cold"`
	Prepared float64 `json:"prepared"`
	All      float64 `json:"all"`
	Bytes    uint64  `json:"bytes"`
}

func prepare(path, policy string, store storage.Store) rego.PreparedEvalQuery {
	pq, err := rego.New(rego.Query(path), rego.Module("policy.rego", policy), rego.Store(store)).
		PrepareForEval(context.Background())
	must(err)
	return pq
}

func measure(dir string, budget time.Duration) figures {
	ctx := context.Background()
	policy, path := string(read(dir, "policy.rego")), string(read(dir, "path"))
	var data map[string]any
	must(json.Unmarshal(read(dir, "data.json"), &data))
	store := inmem.NewFromObject(data)
	var input ast.Value
	options := []rego.EvalOption{rego.EvalTime(now)}
	if text := read(dir, "input.json"); len(text) > 0 {
		var x any
		must(json.Unmarshal(text, &x))
		v, err := ast.InterfaceToValue(x)
		must(err)
		input = v
		options = append(options, rego.EvalParsedInput(input))
	}
	eval := func(pq *rego.PreparedEvalQuery) any {
		rs, err := pq.Eval(ctx, options...)
		must(err)
		if len(rs) != 1 {
			must(fmt.Errorf("%s: undefined", dir))
		}
		return rs[0].Expressions[0].Value
	}
	pq := prepare(path, policy, store)
	if want := read(dir, "want.json"); len(want) > 0 {
		var w, got any
		must(json.Unmarshal(want, &w))
		b, err := json.Marshal(eval(&pq))
		must(err)
		must(json.Unmarshal(b, &got))
		if !reflect.DeepEqual(w, got) {
			must(fmt.Errorf("%s: %s instead of %s", dir, b, want))
		}
	}
	f := figures{Name: string(read(dir, "name"))}
	f.Compile = fastest(budget, func() {
		_, err := ast.CompileModules(map[string]string{"policy.rego": policy})
		must(err)
	})
	f.Cold = fastest(budget, func() {
		fresh := prepare(path, policy, store)
		eval(&fresh)
	})
	f.Prepared = fastest(budget, func() { eval(&pq) })

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 0; i < 10; i++ {
		eval(&pq)
	}
	runtime.ReadMemStats(&after)
	f.Bytes = (after.TotalAlloc - before.TotalAlloc) / 10

	var wg sync.WaitGroup
	var mu sync.Mutex
	rate := 0.0
	for i := 0; i < runtime.NumCPU(); i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			own := pq
			n, start := 0, time.Now()
			for time.Since(start) < budget {
				for k := 0; k < 10; k++ {
					eval(&own)
				}
				n += 10
			}
			took := time.Since(start)
			mu.Lock()
			rate += float64(n) / took.Seconds()
			mu.Unlock()
		}()
	}
	wg.Wait()
	f.All = 1e6 / rate
	return f
}

func main() {
	budget := 200 * time.Millisecond
	if len(os.Args) < 2 {
		must(fmt.Errorf("usage: rego-bench-opa DIRECTORY [MILLISECONDS]"))
	}
	if len(os.Args) > 2 {
		ms := 0
		_, err := fmt.Sscan(os.Args[2], &ms)
		must(err)
		budget = time.Duration(ms) * time.Millisecond
	}
	dirs, err := filepath.Glob(filepath.Join(os.Args[1], "*"))
	must(err)
	for _, dir := range dirs {
		b, err := json.Marshal(measure(dir, budget))
		must(err)
		fmt.Println(string(b))
	}
}
