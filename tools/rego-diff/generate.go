package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
)

// Kinds that a term is wanted of.  They only steer: one in eight terms is of
// another kind, so that type errors and undefined operands are met as well.
type kind int

const (
	anyKind kind = iota
	number
	text
	boolean
	array
	object
	set
)

type variable struct {
	name string
	kind kind
}

type rule struct {
	name  string
	kind  string // complete, set, object, function, default
	value kind
	args  int
}

type generator struct {
	*rand.Rand
	v0    bool
	rules []rule
	vars  []variable // bound in the present body
	count int
	depth int
}

func (g *generator) chance(n int) bool { return g.Intn(n) == 0 }

func (g *generator) pick(list ...string) string { return list[g.Intn(len(list))] }

func (g *generator) fresh() string {
	g.count++
	return fmt.Sprintf("v%d", g.count)
}

func (g *generator) randomKind() kind {
	return []kind{anyKind, number, number, text, text, boolean, array, array, object, set}[g.Intn(10)]
}

// ---- documents ----

var keys = []string{"a", "b", "c", "d"}

func (g *generator) document(depth int) any {
	n := g.Intn(10)
	if depth <= 0 && n >= 6 {
		n = g.Intn(6)
	}
	switch {
	case n < 2:
		return g.Intn(5)
	case n < 4:
		return keys[g.Intn(4)]
	case n == 4:
		return g.chance(2)
	case n == 5:
		if g.chance(2) {
			return nil
		}
		return []any{1.5, -3, "a.b", "A b", 12345678901, "aXbX"}[g.Intn(6)]
	case n < 8:
		list := []any{}
		for i := g.Intn(4); i > 0; i-- {
			list = append(list, g.document(depth-1))
		}
		return list
	default:
		return g.object(depth)
	}
}

func (g *generator) object(depth int) map[string]any {
	m := map[string]any{}
	for i := g.Intn(4) + 1; i > 0; i-- {
		m[keys[g.Intn(4)]] = g.document(depth - 1)
	}
	return m
}

// ---- constants ----

func (g *generator) numberText() string {
	switch g.Intn(12) {
	case 0:
		return g.pick("-1", "-2", "10", "100", "7")
	case 1:
		return g.pick("1.5", "0.5", "2.25", "-1.5", "3.75")
	case 2:
		return g.pick("9007199254740993", "18446744073709551616", "123456789012345678901234567890")
	}
	return fmt.Sprint(g.Intn(5))
}

func (g *generator) constant(k kind) string {
	switch k {
	case number:
		return g.numberText()
	case text:
		if g.chance(8) {
			return g.pick(`"A b"`, `"a.b.c"`, `""`, `"é"`, "`a`", `"aXbXc"`, `"1"`, `" a "`)
		}
		return `"` + keys[g.Intn(4)] + `"`
	case boolean:
		return g.pick("true", "false", "true")
	}
	return g.pick("null", "true", `"a"`, "1", "2", `"b"`, "0")
}

// ---- terms ----

func (g *generator) list(open, close string, n int, each func() string) string {
	var items []string
	for i := 0; i < n; i++ {
		items = append(items, each())
	}
	return open + strings.Join(items, ", ") + close
}

// A reference into input, data or a rule.
func (g *generator) document_ref() string {
	base := g.pick("input", "input", "data.d", "data.e", "data.t.extra")
	for i := g.Intn(3); i > 0; i-- {
		base += g.part()
	}
	return base
}

func (g *generator) part() string {
	switch g.Intn(8) {
	case 0:
		return fmt.Sprintf("[%d]", g.Intn(3))
	case 1:
		return `["` + keys[g.Intn(4)] + `"]`
	case 2:
		if len(g.vars) > 0 {
			return "[" + g.vars[g.Intn(len(g.vars))].name + "]"
		}
	}
	return "." + keys[g.Intn(4)]
}

func (g *generator) ruleRef(k kind) string {
	if len(g.rules) == 0 {
		return g.document_ref()
	}
	for try := 0; try < 4; try++ {
		r := g.rules[g.Intn(len(g.rules))]
		if r.kind == "function" {
			if r.value == k || k == anyKind || try == 3 {
				return g.list(r.name+"(", ")", r.args, func() string { return g.term(anyKind, 1) })
			}
			continue
		}
		if r.value != k && k != anyKind && try < 3 {
			continue
		}
		name := r.name
		if g.chance(4) {
			name = "data.t." + name
		}
		if (r.kind == "set" || r.kind == "object") && g.chance(3) {
			return name + "[" + g.term(text, 0) + "]"
		}
		return name
	}
	return g.document_ref()
}

func (g *generator) knownVar(k kind) string {
	var fit []string
	for _, v := range g.vars {
		if v.kind == k || k == anyKind || v.kind == anyKind {
			fit = append(fit, v.name)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return fit[g.Intn(len(fit))]
}

func (g *generator) comprehension(k kind, depth int) string {
	saved := len(g.vars)
	body := g.inline(depth)
	var t string
	switch k {
	case array:
		t = "[" + g.term(anyKind, depth-1) + " | " + body + "]"
	case set:
		t = "{" + g.term(anyKind, depth-1) + " | " + body + "}"
	default:
		t = "{" + g.term(text, 0) + ": " + g.term(anyKind, depth-1) + " | " + body + "}"
	}
	g.vars = g.vars[:saved]
	return t
}

// A body on one line: some loop and perhaps a condition.
func (g *generator) inline(depth int) string {
	s := g.loop(depth)
	if g.chance(2) {
		s += "; " + g.condition(depth-1)
	}
	return s
}

func (g *generator) term(k kind, depth int) string {
	if g.chance(10) {
		k = g.randomKind()
	}
	if g.chance(3) {
		if v := g.knownVar(k); v != "" {
			return v
		}
	}
	if g.chance(5) {
		return g.document_ref()
	}
	if v := g.knownVar(anyKind); v != "" && g.chance(10) {
		return v + g.part()
	}
	if g.chance(5) {
		return g.ruleRef(k)
	}
	if k == anyKind && g.chance(2) {
		k = g.randomKind()
	}
	if depth <= 0 {
		if k == array || k == object || k == set {
			if g.chance(2) {
				return g.document_ref()
			}
			return map[kind]string{array: "[1, 2]", object: `{"a": 1}`, set: `{1, "a"}`}[k]
		}
		return g.constant(k)
	}
	if g.chance(3) {
		if c := g.call(k, depth-1); c != "" {
			return c
		}
	}
	switch k {
	case array:
		if g.chance(4) {
			return g.comprehension(array, depth-1)
		}
		return g.list("[", "]", g.Intn(4), func() string { return g.term(anyKind, depth-1) })
	case set:
		if g.chance(4) {
			return g.comprehension(set, depth-1)
		}
		n := g.Intn(4)
		if n == 0 {
			return "set()"
		}
		return g.list("{", "}", n, func() string { return g.term(anyKind, depth-1) })
	case object:
		if g.chance(5) {
			return g.comprehension(object, depth-1)
		}
		i := 0
		return g.list("{", "}", g.Intn(4), func() string {
			i++
			key := fmt.Sprintf("%q", keys[(i+g.Intn(2))%4])
			if g.chance(10) {
				key = g.term(anyKind, 0)
			}
			return key + ": " + g.term(anyKind, depth-1)
		})
	case number:
		if g.chance(2) {
			return "(" + g.term(number, depth-1) + " " + g.pick("+", "-", "*") + " " + g.term(number, depth-1) + ")"
		}
	case text:
		if g.chance(6) && !g.v0 {
			// No rules: OPA 1.22 leaves the string undefined where such a rule is.
			part := g.document_ref()
			if v := g.knownVar(anyKind); v != "" && g.chance(2) {
				part = v
			}
			return `$"x{` + part + `}y"`
		}
	}
	return g.constant(k)
}

// Calls of built-in functions, by the kind of their result.
var calls = map[kind][]string{
	number: {"count(A)", "count(O)", "count(S)", "count(T)", "sum(A)", "max(A)", "min(S)", "product(A)", "indexof(T, T)",
		"abs(1.5)", "to_number(T)", "N % N", "round(2.5)", "N / N", "bits.and(N, N)", "strings.count(T, T)", "N - N"},
	text: {"concat(\",\", A)", "upper(T)", "lower(T)", "sprintf(\"%v-%v\", [V, V])", "replace(T, T, T)", "trim(T, T)",
		"substring(T, 0, N)", "type_name(V)", "json.marshal(V)", "format_int(N, 10)", "trim_space(T)", "strings.reverse(T)",
		"base64.encode(T)", "trim_prefix(T, T)", "concat(T, S)", "sprintf(\"%d %s\", [V, V])", "urlquery.encode(T)"},
	boolean: {"startswith(T, T)", "contains(T, T)", "is_string(V)", "is_number(V)", "is_object(V)", "object.subset(O, O)",
		"regex.match(\"^[ab]\", T)", "glob.match(\"*\", [], T)", "endswith(T, T)", "V in A", "V in S", "V in O", "V == V",
		"V != V", "V < V", "N <= N", "is_array(V)", "is_set(V)", "(T, V in O)", "is_null(V)", "json.is_valid(T)", "V >= V"},
	array: {"sort(A)", "array.concat(A, A)", "array.slice(A, N, N)", "split(T, T)", "numbers.range(0, N)", "sort(S)",
		"array.reverse(A)", "regex.find_n(\"[a-c]\", T, -1)", "[x | x := A[_]]", "[x | some x in S]", "[k | some k, _ in O]",
		"split(T, \"X\")", "json.unmarshal(\"[1,2]\")", "array.flatten(A)"},
	object: {"object.union(O, O)", "object.remove(O, A)", "object.filter(O, A)", "json.remove(O, [\"a\"])",
		"{k: v | some k, v in O}", "json.patch(O, [{\"op\": \"add\", \"path\": \"/z\", \"value\": V}])",
		"object.union_n([O, O])", "json.filter(O, [\"a\", \"b\"])"},
	set: {"S | S", "S & S", "S - S", "union({S, S})", "intersection({S, S})", "object.keys(O)", "{x | some x in A}",
		"{x | x := S[_]}", "{v | some v in O}"},
	anyKind: {"object.get(O, T, V)", "object.get(O, [T, N], V)", "max(S)", "min(A)", "json.unmarshal(json.marshal(V))"},
}

func (g *generator) call(k kind, depth int) string {
	list := calls[k]
	if len(list) == 0 {
		return ""
	}
	form := list[g.Intn(len(list))]
	var out strings.Builder
	infix := !strings.ContainsAny(form[:1], "[{(") && !strings.Contains(form, "(")
	for i := 0; i < len(form); i++ {
		alone := (i == 0 || !isWord(form[i-1])) && (i+1 == len(form) || !isWord(form[i+1]))
		var want kind
		switch form[i] {
		case 'N':
			want = number
		case 'T':
			want = text
		case 'V':
			want = anyKind
		case 'A':
			want = array
		case 'O':
			want = object
		case 'S':
			want = set
		default:
			alone = false
		}
		if alone && !(i > 0 && form[i-1] == '"') {
			out.WriteString(g.term(want, depth))
		} else {
			out.WriteByte(form[i])
		}
	}
	if infix {
		return "(" + out.String() + ")"
	}
	return out.String()
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// ---- literals ----

func (g *generator) collection(depth int) string {
	return g.term([]kind{array, object, set, anyKind}[g.Intn(4)], depth)
}

// A literal that binds something.
func (g *generator) loop(depth int) string {
	v := g.fresh()
	bind := func(name string, k kind) { g.vars = append(g.vars, variable{name, k}) }
	switch g.Intn(10) {
	case 0, 1:
		s := "some " + v + " in " + g.collection(depth)
		bind(v, anyKind)
		return s
	case 2:
		w := g.fresh()
		s := "some " + v + ", " + w + " in " + g.collection(depth)
		bind(v, anyKind)
		bind(w, anyKind)
		return s
	case 3:
		s := v + " := " + g.document_ref() + "[_]"
		bind(v, anyKind)
		return s
	case 4:
		w := g.fresh()
		s := w + " := " + g.document_ref() + "[" + v + "]"
		bind(v, anyKind)
		bind(w, anyKind)
		return s
	case 5:
		w := g.fresh()
		s := "[" + v + ", " + w + "] = " + g.pick("[", "") + g.term(anyKind, 0)
		if strings.Contains(s, "= [") {
			s += ", " + g.term(anyKind, 0) + "]"
		}
		bind(v, anyKind)
		bind(w, anyKind)
		return s
	case 6:
		s := v + " = " + g.term(g.randomKind(), depth)
		bind(v, anyKind)
		return s
	case 7:
		for _, r := range g.rules {
			if (r.kind == "set" || r.kind == "object") && g.chance(2) {
				s := r.name + "[" + v + "]"
				bind(v, anyKind)
				return s
			}
		}
		fallthrough
	default:
		k := g.randomKind()
		s := v + " := " + g.term(k, depth)
		bind(v, k)
		return s
	}
}

// OPA 1.22 wants a body behind `not {` where the improved `not` is imported.
func (g *generator) operand(depth int) string {
	for {
		// And it takes a body of `not true` alone for one that holds.
		if s := g.term(anyKind, depth); s[0] != '{' && s != "true" {
			return s
		}
	}
}

func (g *generator) condition(depth int) string {
	switch g.Intn(10) {
	case 0:
		return "not " + g.operand(depth)
	case 1:
		return "not " + g.operand(0) + " " + g.pick("==", "!=", "<", ">") + " " + g.term(anyKind, depth)
	case 2, 3:
		return g.term(anyKind, depth) + " " + g.pick("==", "==", "!=", "=") + " " + g.term(anyKind, depth)
	case 4:
		return g.term(number, depth) + " " + g.pick("<", ">", "<=", ">=") + " " + g.term(number, depth)
	case 5:
		v := g.fresh()
		saved := len(g.vars)
		domain := g.collection(depth)
		g.vars = append(g.vars, variable{v, anyKind})
		s := "every " + v + " in " + domain + " { " + g.condition(depth-1) + " }"
		g.vars = g.vars[:saved]
		if !strings.Contains(s[strings.Index(s, "{"):], v) {
			s = strings.Replace(s, "every "+v+" in", "every _ in", 1)
		}
		return s
	case 6:
		return g.term(anyKind, 0) + " in " + g.collection(depth)
	default:
		return g.term(boolean, depth)
	}
}

func (g *generator) with() string {
	switch g.Intn(7) {
	case 0:
		return " with input as " + g.term(object, 1)
	case 1:
		return " with data.d as " + g.term(object, 1)
	case 2:
		return " with data.d." + keys[g.Intn(4)] + " as " + g.term(anyKind, 1)
	case 3:
		return " with count as " + g.constant(number) // OPA looks at a reference only when count is called
	case 4:
		for _, r := range g.rules {
			if r.kind == "function" && r.args == 1 && g.chance(2) {
				return " with " + g.pick("upper", "sort", "is_string") + " as " + r.name
			}
			if r.kind != "function" && g.chance(3) {
				return " with data.t." + r.name + " as " + g.term(anyKind, 1)
			}
		}
	}
	return " with input." + keys[g.Intn(4)] + " as " + g.term(anyKind, 1)
}

func (g *generator) literal() string {
	with := ""
	if g.chance(8) {
		with = g.with()
	}
	if g.chance(2) {
		return g.loop(2) + with
	}
	s := g.condition(2)
	if s == "true" || s == "false" {
		return s // OPA drops the modifiers of a constant, undefined values and all
	}
	return s + with
}

// ---- rules ----

func (g *generator) body(indent string) string {
	var lines []string
	for n := g.Intn(4) + 1; n > 0; n-- {
		lines = append(lines, indent+g.literal())
	}
	if g.chance(15) && len(lines) > 1 {
		i := g.Intn(len(lines) - 1)
		lines[i], lines[i+1] = lines[i+1], lines[i]
	}
	return strings.Join(lines, "\n")
}

func (g *generator) headValue() string {
	if g.chance(2) {
		return g.constant(anyKind)
	}
	return g.term(anyKind, 1)
}

func (g *generator) makeRule(i int) (string, rule) {
	g.vars = nil
	r := rule{name: fmt.Sprintf("p%d", i)}
	var out strings.Builder
	open := " if {\n"
	if g.v0 {
		open = " {\n"
	}
	definitions := 1 + g.Intn(3)
	switch g.Intn(6) {
	case 0, 1:
		r.kind = "complete"
		values := g.chance(2)
		shared := g.constant(anyKind)
		if g.chance(3) {
			fmt.Fprintf(&out, "default %s := %s\n\n", r.name, g.constant(anyKind))
		}
		for ; definitions > 0; definitions-- {
			g.vars = nil
			body := g.body("\t")
			head := ""
			if values {
				if definitions == 1 || g.chance(4) {
					head = " := " + g.headValue()
				} else {
					head = " := " + shared
				}
			}
			fmt.Fprintf(&out, "%s%s%s%s\n}", r.name, head, open, body)
			for g.chance(3) {
				g.vars = nil
				body := g.body("\t")
				fmt.Fprintf(&out, " else := %s%s%s\n}", g.headValue(), open, body)
			}
			out.WriteString("\n\n")
		}
	case 2:
		r.kind, r.value = "set", set
		for ; definitions > 0; definitions-- {
			g.vars = nil
			body := g.body("\t")
			form := "%s contains %s%s%s\n}\n\n"
			if g.v0 {
				form = "%s[%s]%s%s\n}\n\n"
			}
			fmt.Fprintf(&out, form, r.name, g.headValue(), open, body)
		}
	case 3:
		r.kind, r.value = "object", object
		for ; definitions > 0; definitions-- {
			g.vars = nil
			body := g.body("\t")
			path := "[" + g.term(text, 0) + "]"
			if g.chance(4) && !g.v0 {
				path += "[" + g.term(text, 0) + "]"
			}
			fmt.Fprintf(&out, "%s%s := %s%s%s\n}\n\n", r.name, path, g.headValue(), open, body)
		}
	case 4:
		r.kind, r.args = "function", 1+g.Intn(2)
		if g.chance(4) {
			fmt.Fprintf(&out, "default %s := %s\n\n", g.list(r.name+"(", ")", r.args, func() string { return "_" }), g.constant(anyKind))
		}
		for ; definitions > 0; definitions-- {
			g.vars = nil
			args := g.list("(", ")", r.args, func() string {
				switch g.Intn(8) {
				case 0:
					return g.constant(anyKind)
				case 1:
					v, w := g.fresh(), g.fresh()
					g.vars = append(g.vars, variable{v, anyKind}, variable{w, anyKind})
					return "[" + v + ", " + w + "]"
				}
				v := g.fresh()
				g.vars = append(g.vars, variable{v, anyKind})
				return v
			})
			saved := append([]variable{}, g.vars...)
			body := g.body("\t")
			fmt.Fprintf(&out, "%s%s := %s%s%s\n}", r.name, args, g.headValue(), open, body)
			if g.chance(4) {
				g.vars = saved
				body := g.body("\t")
				fmt.Fprintf(&out, " else := %s%s%s\n}", g.headValue(), open, body)
			}
			out.WriteString("\n\n")
		}
	case 5:
		r.kind, r.value = "complete", g.randomKind()
		fmt.Fprintf(&out, "%s := %s\n\n", r.name, g.term(r.value, 2))
	}
	return out.String(), r
}

func (g *generator) makeCase() testCase {
	g.v0 = g.chance(5)
	c := testCase{V0: g.v0, Query: "data.t = x", Strict: g.chance(8)}
	var texts []string
	for i, n := 0, g.Intn(5)+2; i < n; i++ {
		s, r := g.makeRule(i)
		texts = append(texts, s)
		g.rules = append(g.rules, r)
	}
	if g.chance(3) {
		g.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	}
	head := "package t\n\n"
	if g.v0 {
		head += "import future.keywords.in\nimport future.keywords.every\n\n"
	} else if g.chance(5) {
		head += "import future.keywords.not\n\n"
	}
	c.Modules = []string{head + strings.Join(texts, "")}
	c.Data = map[string]any{"d": g.object(3), "e": g.document(3)}
	if g.chance(3) {
		c.Data["t"] = map[string]any{"extra": g.document(2)}
	}
	if !g.chance(10) {
		c.Input = g.object(3)
	}
	switch g.Intn(6) {
	case 0:
		g.vars = nil
		c.Query = g.queryText()
	case 1:
		c.Query = "data.t[k] = x"
	case 2:
		last := g.rules[len(g.rules)-1]
		if last.kind != "function" {
			c.Query = "data.t." + last.name + " = x"
		}
	}
	// As JSON has them: both engines read the same text.
	var data map[string]any
	bs, _ := json.Marshal(c.Data)
	json.Unmarshal(bs, &data)
	c.Data = data
	return c
}

func (g *generator) queryText() string {
	saved := g.rules
	g.rules = nil
	for _, r := range saved {
		r.name = "data.t." + r.name
		g.rules = append(g.rules, r)
	}
	s := g.loop(2)
	for g.chance(2) {
		s += "; " + g.condition(2)
	}
	return strings.ReplaceAll(s, "data.t.data.t.", "data.t.")
}
