package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Some programs end the process that OPA runs in: its type checker joins types
// in place, makes one that holds itself, and then follows it until the stack is
// full, which Go cannot recover from.  So a worker runs the cases and reports
// each; when it ends at one, the next worker goes on after it.

const ownEnd = "OPA ends by a stack overflow: a type that holds itself"

type totals struct {
	done                     int
	stats, kinds, knownKinds map[string]int
}

func (t *totals) count(line string) (last string) {
	what, text, _ := strings.Cut(line, " ")
	switch what {
	case "case":
		return text
	case "end":
		t.done++
		t.stats[text]++
	case "known":
		t.knownKinds[text]++
	case "difference":
		t.kinds[text]++
	}
	return ""
}

// A writer that keeps the beginning: the rest of a trace says the same again.
type beginning struct{ bytes.Buffer }

func (b *beginning) Write(p []byte) (int, error) {
	if room := 16384 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Cases from `first` on: where it ended before its time, and what it said then.
func oneWorker(t *totals, seed int64, first, seconds int) (at int, trace string, err error) {
	args := append(append([]string{}, os.Args[1:]...), "-worker", "-seed", fmt.Sprint(seed), "-first", fmt.Sprint(first), "-seconds", fmt.Sprint(seconds))
	r, w, err := os.Pipe()
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	var stderr beginning
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, &stderr, []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, "", err
	}
	at = first
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if last := t.count(lines.Text()); last != "" {
			fmt.Sscan(last, &at)
		}
	}
	err = cmd.Wait()
	return at, stderr.String(), err
}

func supervise(n int, seed int64, seconds int) int {
	fmt.Printf("seed %d\n", seed)
	t := totals{stats: map[string]int{}, kinds: map[string]int{}, knownKinds: map[string]int{}}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for first := 0; first < n; {
		left := 0
		if seconds > 0 {
			if left = int(time.Until(end).Seconds()); left <= 0 {
				break
			}
		}
		at, trace, err := oneWorker(&t, seed, first, left)
		if err == nil {
			fmt.Fprint(os.Stderr, trace)
			break
		}
		if !strings.Contains(trace, "stack overflow") {
			fmt.Fprintf(os.Stderr, "%s\nrego-diff: the worker ended at seed %d: %v\n", trace, seed+int64(at), err)
			return 2
		}
		t.knownKinds[ownEnd]++
		t.done++
		first = at + 1
	}
	fmt.Printf("%d cases: %v\n", t.done, t.stats)
	for why, n := range t.knownKinds {
		fmt.Printf("%6d known: %s\n", n, why)
	}
	if len(t.kinds) > 0 {
		fmt.Printf("differences: %v\n", t.kinds)
		return 1
	}
	fmt.Println("no difference")
	return 0
}
