// rego-types-peer records what OPA's type checker says of our own programs:
// tests/data/rego/types.txt.
//
//	tools/rego-types-peer/run >tests/data/rego/types.txt
//
// A line: a module without its package, line ends as " ⏎ ", then "  =>  " and
// what OPA reports: code and row of each error, or "ok".
package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// One of each kind, and what it is called in the templates below.
var samples = []struct{ name, text string }{
	{"null", "null"}, {"boolean", "true"}, {"number", "1"}, {"string", `"a"`},
	{"array", "[1]"}, {"object", `{"a": 1}`}, {"set", "{1}"}, {"unknown", "input.x"},
}

// Calls with an operand that takes each sample in turn.
var calls = []string{
	"abs(@)", "count(@)", "sum(@)", "max(@)", "sort(@)", "concat(\",\", @)", "concat(@, [])", "upper(@)", "split(@, \",\")",
	"startswith(\"a\", @)", "array.concat(@, [])", "array.slice([], @, 1)", "object.get(@, \"a\", 1)", "object.keys(@)",
	"object.union({}, @)", "to_number(@)", "json.marshal(@)", "json.unmarshal(@)", "time.parse_rfc3339_ns(@)", "@ + 1", "@ - {1}",
	"@ | {1}", "@ < 1", "union(@)", "walk(@)", "glob.match(\"a\", @, \"a\")", "sprintf(@, [])", "sprintf(\"a\", @)",
	"numbers.range(0, @)", "regex.match(@, \"a\")",
}

var programs = []string{
	// equalities
	`p if 1 == "a"`, `p if 1 = "a"`, `p if [1] == ["a"]`, `p if [1, 2] == [1]`, `p if {"a": 1} == {"a": "b"}`, `p if {"a": 1} == {"b": 1}`,
	`p if {1} == {"a"}`, `p if {1} == [1]`, `p if null == false`, `p if input.a == 1`, `p if [input.a] == [1]`, `p if [input.a, 1] == [1, "b"]`,
	`p if { x := 1; x == "a" }`, `p if { x := input.a; x == "a"; x == 1 }`, `p if { x = 1; x = "a" }`, `p if { [x, y] = [1, "a"]; x == y }`,
	`p if { [x] = [1]; x == "a" }`, `p if { {"k": v} = {"k": 1}; v == "a" }`, `p if { {"k": v} := {"j": 1}; v }`, `p if { x := [1, "a"][_]; x == true }`,
	`p if { x := {"a": 1, "b": "c"}[_]; x == null }`, `p if { x := {1, "a"}[_]; x == null }`, `p if { x := {1, "a"}[_]; x == 1 }`,
	`p if "a" != 1`, `p if { x := 1; not x == "a" }`, `p if { [a, b] = input.x; a == 1; b == "c" }`, `p if { a = b; b = 1; a == "x" }`,
	`p if {"a": {"b": 1}} == {"a": {"b": "c"}}`, `p if {"a": [1]} == {"a": ["b"]}`, `p if set() == {1}`, `p if [] == [1]`, `p if {} == {"a": 1}`,
	// membership
	`p if 1 in [1, 2]`, `p if "a" in [1, 2]`, `p if "a" in {1, 2}`, `p if 1 in {"a": "b"}`, `p if "x", 1 in {"a": 1}`, `p if 1, 1 in {"a": 1}`,
	`p if 0, "a" in [1]`, `p if 1 in input.x`, `p if 1 in 2`, `p if "a" in "abc"`, `p if { some x in [1]; x == "a" }`, `p if { some k, v in {"a": 1}; k == v }`,
	`p if { some x in {"a", "b"}; x == 1 }`, `p if { some x in input.l; x == 1; x == "a" }`, `p if { some i, _ in ["a"]; i == "x" }`, `p if { every x in [1] { x == "a" } }`,
	// references
	`p if { x := {"a": 1}; x.b }`, `p if { x := {"a": 1}; x.a }`, `p if { x := {"a": {"b": 1}}; x.a.c }`, `p if { x := [1]; x.a }`, `p if { x := [1]; x[0] }`,
	`p if { x := [1]; x[1] }`, `p if { x := 1; x.a }`, `p if { x := "a"; x[0] }`, `p if { x := {"a"}; x["b"] }`, `p if { x := {"a"}; x[1] }`, `p if { x := {}; x.a }`,
	`p if { x := []; x[0] }`, `p if { x := {"a": 1}; x[i]; i == 1 }`, `p if { x := [1]; x[i]; i == "a" }`, `p if { x := {"a": 1}; x[input.k] }`, `p if { x := input; x.a.b }`,
	`p if { x := {"a": input}; x.a.b.c }`, `p if { x := {"a": input}; x.b }`, `p if { x := {"a": 1, input.k: 2}; x.b }`, `p if { x := {1: 2}; x[1] }`, `p if { x := {1: 2}; x["a"] }`,
	`p if { x := count(input); x.a }`, `p if { x := split("a", ","); x.a }`, `p if { x := split("a", ","); x[0].b }`, `p if { x := json.unmarshal("1"); x.a }`,
	// rules
	"q := {\"a\": 1} ⏎ p := q.a", "q := {\"a\": 1} ⏎ p := data.t.q.b", "q := 1 ⏎ p := data.t.q.a", "q contains 1 ⏎ p := data.t.q[1]", "q contains 1 ⏎ p := data.t.q[\"a\"]",
	"q contains x if some x in [1, \"a\"] ⏎ p := data.t.q[true]", "q[x] := 1 if some x in [\"a\"] ⏎ p := data.t.q.a", "q[x] := 1 if some x in [\"a\"] ⏎ p := data.t.q[1]",
	"q.a := 1 ⏎ q.b := 2 ⏎ p := data.t.q.c", "q.a := 1 ⏎ p := data.t.q.a.b", "q := 1 if input.a ⏎ q := \"a\" if input.b ⏎ p if data.t.q == true", "q := 1 ⏎ q := \"a\" if input.b ⏎ p if q == \"a\"",
	"q := 1 if input.a else := \"a\" if input.b ⏎ p if q == null", "default q := 1 ⏎ q := \"a\" if input.b ⏎ p if q == \"b\"", "default q := 1 ⏎ p if q == \"b\"", "q := [x | x := 1] ⏎ p if q == [\"a\"]",
	"q := {x | x := 1} ⏎ p if \"a\" in q", "q := {x: 1 | x := \"a\"} ⏎ p if q == {\"a\": \"b\"}", "q := input ⏎ p if q == 1", "q := data.other ⏎ p if q == 1", "a := 1 ⏎ b := a ⏎ c := b ⏎ p if c == \"x\"",
	"a := {\"k\": b} ⏎ b := [1] ⏎ p := data.t.a.k[0].z", "q contains {\"a\": 1} ⏎ p if { some x in q; x.b }", "q contains [1, \"a\"] ⏎ p if { some [a, b] in q; a == b }",
	"q := r.x ⏎ r := {\"x\": 1} ⏎ p := data.t.q.y", "q := 1 + \"a\" ⏎ p := q.x", "q := 1 + \"a\" ⏎ p := count(q)", "q.a contains 1 ⏎ q.b contains \"x\" ⏎ p := data.t.q.a[\"y\"]",
	// functions
	"f(x) := x + 1 ⏎ p := f(1)", "f(x) := x + 1 ⏎ p := f(\"a\")", "f(x) := 1 ⏎ p := f(\"a\")", "f(x) := 1 ⏎ p if f(\"a\") == \"b\"", "f(x) := 1 if x == 1 ⏎ f(x) := \"a\" if x == 2 ⏎ p if f(1) == true",
	"f(x) := 1 if x == 1 ⏎ f(x) := \"a\" if x == 2 ⏎ p if f(1) == 1", "f([x, y]) := x + y ⏎ p := f([1, 2])", "f([x, y]) := x + y ⏎ p := f([1])", "f([x, y]) := x + y ⏎ p := f([1, \"a\"])",
	"f({\"a\": x}) := upper(x) ⏎ p := f({\"a\": \"b\"})", "f({\"a\": x}) := upper(x) ⏎ p := f({\"a\": 1})", "f({\"a\": x}) := upper(x) ⏎ p := f({\"b\": \"c\"})", "f(1) := 2 ⏎ f(\"a\") := 3 ⏎ p := f(true)",
	"f(x) := upper(x) ⏎ g(x) := f(x) ⏎ p := g(1)", "f(x) := count(x) ⏎ p := f(1)", "f(x) := count(x) ⏎ p := f({1})", "f(x, y) := x if y == 1 ⏎ p := f(1, \"a\")", "f(x) := x.a ⏎ p := f({\"a\": 1})",
	"f(x) := x.a ⏎ p := f(1)", "f(x) := {\"r\": x} ⏎ p := f(1).s", "f(x) := {\"r\": x} ⏎ p := f(1).r", "default f(_) := 1 ⏎ f(x) := \"a\" if x == 2 ⏎ p if f(1) == null", "f(x) := x ⏎ p := data.t.f",
	"f(x) := x ⏎ p := [data.t.f]", "f(x) := x ⏎ p if data.t.f", "f(x) := x ⏎ p if f(1) + 1 == 2", "f(x) := \"a\" ⏎ p if f(1) + 1 == 2", "f(x) := sum(x) ⏎ p := f([\"a\"])",
	"f(x) := 1 if x.a == \"b\" ⏎ p := f({\"a\": 1})", "f(x) := 1 if x[0] == 1 ⏎ p := f(\"a\")", "f(x) := 1 if { x.a == 1; x == 2 }",
	// operands that nothing is known of, read twice
	"f(c) if { c[\"x-status\"] == \"good\"; c[\"y-status\"] == \"valid\" } ⏎ p if { input.n; f(input.n[\"x-chain\"]) }", "f(c) if { c.a == \"x\"; c.b == 1; c.a == 2 } ⏎ p if f(input.n)",
	"f(c) if { c.a == \"x\"; c.b == \"y\" } ⏎ p if f({\"a\": \"x\"})", "f(c) if { c[0] == \"x\"; c[1] == 2 } ⏎ g(c) if f(c.l) ⏎ p if every n in [\"a\"] { g(input[n]) }",
	// modifiers
	`p if 1 + input == 2 with input.a as 1`, `p if 1 + input.a == 2 with input.a as "x"`, `p if input[2] with input.a as 1`, `p if input.b.c with input.a as 1`,
	"q := 1 ⏎ p if q == \"a\" with data.t.q as \"b\"", "q := 1 ⏎ p if q == \"a\" with data.t.q as 2", "q := 1 ⏎ p if q == \"a\" with input as 2", "q := {\"a\": 1} ⏎ p if q.b with data.t.q as {\"b\": 2}",
	"q := {\"a\": 1} ⏎ p if q.b with data.t.q as {\"c\": 2}", "q := 1 ⏎ r := q ⏎ p if r == \"a\" with data.t.q as 2", "q := 1 ⏎ r := 1 ⏎ p if r == \"a\" with data.t.q as \"a\"", "q := 1 ⏎ p if data.t == 3 with data.t.q as 1",
	"q := 1 ⏎ p if data.t.s with data.t.q as 1", "q := 1 ⏎ p if q == \"a\" with data.t as {}", "q := 1 ⏎ p if q == \"a\" with data.u as {}", "f(x) := x + 1 ⏎ p if f(\"a\") with data.t.f as 1", "f(x) := x + 1 ⏎ g(x) := f(x) ⏎ p if g(1) == \"a\" with data.t.f as \"a\"",
	"f(x) := x + 1 ⏎ p if f(\"a\") == 1 with count as 1", `p if count(1) == 2 with count as 2`, `p if count(input) == "x" with count as "x"`, "q := set() ⏎ p if q == {1} with data.t.q as {1}", "q := set() ⏎ r if q == {1} with data.t.q as {1} ⏎ p := 1 + q",
	"q := [set(), 1] ⏎ r if is_set(1) with data.d as q ⏎ p := 1 + q", "q := {} ⏎ r if true with data.t as 1 ⏎ p := q.a", "q := {} ⏎ r if true with data.u as 1 ⏎ p := q.a", `p if [x | x := input + 1] == [] with input.a as 1`, `p if { x := input with input.a as 1; x + 1 == 2 }`,
	"q := 1 ⏎ p if [x | x := data.t.q; x == \"a\"] == [] with data.t.q as \"a\"", "q := 1 ⏎ p if not q == \"a\" with data.t.q as \"a\"", "q := 1 ⏎ p if { every x in [1] { q == \"a\" } } ", "q[x] := 1 if some x in [1] ⏎ p if data.t.q[\"a\"] with data.t.q as {\"a\": 1}",
	"f(2) := 1 ⏎ p if true with upper as f", "f(x) := 1 ⏎ p if true with upper as f", "f(x) := x + 1 ⏎ p if upper(\"a\") == \"b\" with upper as f", "f([x, y]) := 0 ⏎ p if input.a with upper as f",
	"f(x) := \"a\" ⏎ g(x) := 1 ⏎ p if f(1) with data.t.f as g", "f(x) := \"a\" ⏎ p if f(1) with data.t.f as lower",
	"s if true with data.t.q as input ⏎ q if input.a ⏎ else := {} if input.b ⏎ r if { some k, v in q }", "s if true with data.t.q as input ⏎ q := {} if input.a ⏎ else if input.b ⏎ r if { some k, v in q }",
	// what a rule hands on
	"q[x] := 1 if input[x] ⏎ r := 0 if input.a ⏎ r := q if input.b ⏎ r := {x: \"s\" | input[x]} if input.c ⏎ p if { r; q.x == \"a\" }",
	"q[x] := 1 if input[x] ⏎ r := 0 if input.a ⏎ r := {k: v | some k, v in q} if input.b ⏎ r := {x: \"s\" | input[x]} if input.c ⏎ p if { r; q.x == \"a\" }",
	// what stands beside something unknown is not known either, unless it is constant
	"q := count(input) ⏎ f(x) := object.get(v.d, \"c\", x) if v = {\"c\": x, \"d\": data.t.q}", "f(x) := object.get(v.d, \"c\", x) if v = {\"c\": x, \"d\": 1}", "q := count(input) ⏎ f(x) := upper(v[1]) if v = [x, data.t.q]",
	"q := count(input) ⏎ f(x) := upper(v[1]) if v = [1, data.t.q]", "f(x) := upper(v[1]) if v = [x, [y | y := 1]]", "q := count(input) ⏎ f(x) := upper(v[1][0]) if v = [x, [data.t.q]]", "q := 1 ⏎ p if { v = {x, data.t.q}; v[y]; upper(y); x = input }",
	"f(a, b) := 1 if { x = {b: a, \"d\": \"d\"}; x[k].c }", "f(a, b) := 1 if { some k, v in {b: a, \"d\": 1}; v.c }", "f(a, b) := 1 if { x := {b: 1, \"d\": \"d\"}; x[k].c }", "f(a, b) := 1 if { x := {1: a, \"d\": \"d\"}; x.d.c }",
	"f(a, b) := 1 if { a in {\"b\": [1], input: b}; a.x }", "f(a, b) := 1 if { a in {\"b\": [1], b: b}; a.x }", "f(a, b) := 1 if { a in {input: b}; a.x }", "f(a, b) := 1 if { a, 1 in {\"b\": 1, input: b}; a.x }", "f(a, b) := 1 if { a, 1 in {\"b\": 1, b: b}; a.x }",
	"f(a) := 1 if { x = {\"b\": [1], input: a}; x[_].c }", "f(a) := 1 if { {\"b\": [1], input: a} = {\"b\": 1} }", "f(a) := 1 if { {input: a} = {\"c\": 1} }", "f(a) := 1 if { x := {\"b\": 1, input: a}; x.zz.c }",
	// collections of which something is not known
	"q := [set(), \"b\", [1]] ⏎ p if {1, \"a\"} in q", "q := [set(), \"b\"] ⏎ p if 1 in q", "q := [\"b\"] ⏎ p if 1 in q", "q := {\"a\": set()} ⏎ p if \"x\", 1 in q", "p if 1 in [set(), \"b\"]", "q := [set()] ⏎ p if { some x in q; x == 1 }",
	// comprehensions and nesting
	`p := [x | x := 1; x == "a"]`, `p := {x | x := 1; x == "a"}`, `p := {x: y | x := 1; y := x + "a"}`, `p := [y | x := {"a": 1}; y := x.b]`, `p := count([x | x := 1])`, `p := sum([x | x := "a"])`,
	`p := sum([x | x := 1])`, `p := concat(",", [x | x := 1])`, `p := concat(",", {x | x := "a"})`, `p if [x | x := 1] == ["a"]`, `p := {"a": [x | x := 1]}["b"]`, `p if { y := [x | x := 1]; y[0] == "a" }`,
	`p if { y := {x: 1 | x := "a"}; y[1] }`, `p if { y := [[x | x := 1]]; y[0][0] == "a" }`, `p := [x | x := [y | y := 1 + "a"]]`, `p if every x in [1] { count(x) }`, `p if not 1 == "a"`, `p if not count(1) == 2`,
	`p if { x := [1 + 2, "a"]; x[0] == "b" }`, `p := object.get({"a": 1}, "b", "c") + 1`, `p := $"{1 + "a"}"`, `p := $"{input.x}" + 1`, `p if { x := time.now_ns(); x.a }`, `p if { [h, b, s] := io.jwt.decode("x"); h.a; s.b }`,
	`p if { [_, value] = walk(input); value == 1 }`, `p if { walk({"a": 1}, [path, _]); path == "x" }`, `p := max([1, "a"]) + 1`, `p := min({"a"}) + 1`, `p := plus(1, "a")`, `p if { plus(1, 2, "a") }`,
	`p := json.patch([], [{"op": 1, "path": "a"}])`, `p := json.patch([], [{"op": "add", "path": 1}])`, `p := json.marshal_with_options(1, {"pretty": 1})`, `p := json.marshal_with_options(1, {"x": 1})`, `p := json.marshal_with_options(1, {1: 2})`, `p := json.match_schema({}, {})[1][0].nope`, `p := json.match_schema({}, {})[1][0].desc`,
	`f(x) if { every y in x { y != data.d[x] } with data.d.b as 3; x - 1 == 0 }`, `f(x) if { every y in [1] { y != data.d[x] } with data.d.b as 3; x - 1 == 0 }`, `f(x) if { every y in data.e[x] { y } with data.e.b as [3]; x - 1 == 0 }`,
}

func main() {
	var all []string
	for _, call := range calls {
		for _, s := range samples {
			all = append(all, "p := "+strings.Replace(call, "@", s.text, 1))
		}
	}
	all = append(all, programs...)
	fmt.Println("# Made by tools/rego-types-peer with OPA 1.22.3: programs of our own, code and row of each error.")
	for _, text := range all {
		source := "package t\n" + strings.ReplaceAll(text, " ⏎ ", "\n") + "\n"
		m, err := ast.ParseModuleWithOpts("t.rego", source, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			panic(text + ": " + err.Error())
		}
		c := ast.NewCompiler()
		c.Compile(map[string]*ast.Module{"t.rego": m})
		seen := map[string]bool{}
		var found []string
		for _, e := range c.Errors {
			if e.Location == nil { // OPA does not say where in a template string
				e.Location = &ast.Location{}
			}
			s := fmt.Sprintf("%s %d", e.Code, e.Location.Row)
			if !seen[s] {
				found = append(found, s)
			}
			seen[s] = true
		}
		sort.Strings(found)
		if len(found) == 0 {
			found = []string{"ok"}
		}
		fmt.Printf("%s  =>  %s\n", text, strings.Join(found, ", "))
	}
}
