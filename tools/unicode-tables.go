// Prints src/rego/unicode_tables.h: go run tools/unicode-tables.go > src/rego/unicode_tables.h
//
// Rego's upper(), lower(), trim_space() and %q are defined by what Go does, so
// the tables come from Go's own.
package main

import (
	"fmt"
	"strconv"
	"unicode"
)

type run struct {
	lo, hi, stride rune
	delta          rune
}

// Code points above ASCII that a mapping moves, as runs of equal distance.
func caseRuns(name string, mapping func(rune) rune) {
	var runs []run
	last := map[rune]int{} // delta -> index of its latest run
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		delta := mapping(r) - r
		if delta == 0 {
			continue
		}
		if i, ok := last[delta]; ok {
			p := &runs[i]
			d := r - p.hi
			if (p.lo == p.hi && d <= 2) || d == p.stride {
				p.stride, p.hi = d, r
				continue
			}
		}
		last[delta] = len(runs)
		runs = append(runs, run{r, r, 1, delta})
	}
	fmt.Printf("\nstatic const struct case_run %s[] = {\n", name)
	for i, r := range runs {
		fmt.Printf("%s{0x%x, 0x%x, %d, %d},%s", lead(i, 3), r.lo, r.hi, r.stride, r.delta, tail(i, len(runs), 3))
	}
	fmt.Println("};")
}

func lead(i, columns int) string {
	if i%columns == 0 {
		return "    "
	}
	return " "
}

func tail(i, n, columns int) string {
	if i%columns == columns-1 || i == n-1 {
		return "\n"
	}
	return ""
}

func main() {
	fmt.Printf("/* Made by tools/unicode-tables.go from Unicode %s; only unicode.c includes it. */\n", unicode.Version)
	fmt.Println("#pragma once")
	fmt.Println("/* clang-format off */")
	caseRuns("upper_runs", unicode.ToUpper)
	caseRuns("lower_runs", unicode.ToLower)

	fmt.Println("\nstatic const struct run printable_runs[] = {")
	var runs []run
	start := rune(-1)
	for r := rune(0x80); r <= unicode.MaxRune+1; r++ {
		p := r <= unicode.MaxRune && strconv.IsPrint(r)
		if p && start < 0 {
			start = r
		} else if !p && start >= 0 {
			runs = append(runs, run{lo: start, hi: r - 1})
			start = -1
		}
	}
	for i, r := range runs {
		fmt.Printf("%s{0x%x, 0x%x},%s", lead(i, 5), r.lo, r.hi, tail(i, len(runs), 5))
	}
	fmt.Println("};")
}
