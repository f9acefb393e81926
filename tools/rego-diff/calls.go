package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Calls of built-in functions with odd operands, one a case, whose error texts are
// compared, too: rego-diff -calls.  An operand is a term of the text that its
// letter stands for; one in fifteen is of another kind.
type operand func(g *generator) string

// What a text is that a function takes, with one in six changed somewhere.
func texts(list ...string) operand {
	return func(g *generator) string {
		s := list[g.Intn(len(list))]
		if g.chance(6) {
			s = g.mutate(s)
		}
		if g.chance(20) {
			s += list[g.Intn(len(list))]
		}
		return quote(s)
	}
}

func terms(list ...string) operand {
	return func(g *generator) string { return list[g.Intn(len(list))] }
}

func either(list ...operand) operand {
	return func(g *generator) string { return list[g.Intn(len(list))](g) }
}

func arrayOf(o operand) operand {
	return func(g *generator) string {
		return g.list("[", "]", g.Intn(4), func() string { return o(g) })
	}
}

func setOf(o operand) operand {
	return func(g *generator) string {
		if n := g.Intn(4); n > 0 {
			return g.list("{", "}", n, func() string { return o(g) })
		}
		return "set()"
	}
}

func objectOf(k, v operand) operand {
	return func(g *generator) string {
		seen := map[string]bool{}
		var items []string
		for i := g.Intn(4); i > 0; i-- {
			if key := k(g); !seen[key] {
				seen[key] = true
				items = append(items, key+": "+v(g))
			}
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
}

func (g *generator) mutate(s string) string {
	r := []rune(s)
	i := 0
	if len(r) > 0 {
		i = g.Intn(len(r))
	}
	odd := []rune("aZ09 -+.:/\\*?[]{}()|^$,;%&=_~\"'`\t\nß\u00e9\u2028\U0001f600é\x00\x7f<>!#@TzeEmiI")
	one := odd[g.Intn(len(odd))]
	switch n := g.Intn(4); {
	case len(r) == 0 || n == 0:
		return string(r[:i]) + string(one) + string(r[i:])
	case n == 1:
		return string(r[:i]) + string(r[i+1:])
	case n == 2:
		return string(r[:i]) + string(one) + string(r[i+1:])
	}
	return string(r[:i]) + string(r[i]) + string(r[i:])
}

// A string literal that both read alike.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r < ' ' || r == 0x7f || r == 0x2028:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}

var (
	anyText = texts("", "a", "abc", "aXbXc", "hello world", "äöü", "日本語", "ß", "ǅ", "İ", "ſ", "é", "😀", " a b ", "\t x\n", "AbC",
		"aaaa", "a.b.c", "x=y", "\u00a0q\u2003", "\u0085z", "null", "[1,2]", "{\"a\":1}", "1", "ﬃ", "Σς", "\x00", "ȺⱥK", "foo", "bar", "foobar")
	smallInt  = terms("0", "1", "2", "3", "4", "5", "10", "-1", "-2", "-3", "7", "100", "1.0", "2.0", "1.5", "0.0", "1e0", "1e1")
	bigNumber = terms("9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616", "123456789012345678901234567890",
		"-123456789012345678901234567890", "4294967296", "2147483648", "1e18", "1e19", "1e30", "1e-30", "1.25e3", "9007199254740993", "0.1", "0.2", "3.3", "1.1",
		"-0.5", "0.5", "2.5", "-2.5", "1e2", "100000.5", "1234567.5", "0.00001", "123456789.123456789", "1e400", "3.0", "1e100", "-1e-5", "33.333333333333333333",
		"0.000030517578125", "1000000", "999999.5", "1E5", "12.50", "1e-7", "340282366920938463463374607431768211455.5", "0.30000000000000004")
	anyNumber = either(smallInt, smallInt, bigNumber)
	scalar    = either(anyText, anyNumber, terms("null", "true", "false"))
	flat      = either(scalar, arrayOf(scalar), setOf(scalar), objectOf(either(anyText, anyText, scalar), scalar))
	anyValue  = either(scalar, flat, arrayOf(flat), setOf(flat), objectOf(either(anyText, flat), flat))
	anyObject = objectOf(either(keyText, keyText, flat), either(flat, flat, objectOf(keyText, flat)))
	anyArray  = arrayOf(either(scalar, flat))
	anySet    = setOf(either(scalar, flat))
	callForms = makeCallForms()
)

var keyText = terms(`"a"`, `"b"`, `"c"`, `"d"`, `"a/b"`, `"~x"`, `"0"`, `"1"`, `""`)

type form struct {
	name string
	args []operand
}

func (g *generator) callCase() testCase {
	f := callForms[g.Intn(len(callForms))]
	if onlyCalls != "" {
		for !strings.HasPrefix(f.name, onlyCalls) {
			f = callForms[g.Intn(len(callForms))]
		}
	}
	var args []string
	hide := g.chance(3)
	for _, o := range f.args {
		s := o(g)
		if g.chance(15) {
			s, hide = anyValue(g), true
		}
		args = append(args, s)
	}
	for i := range args {
		if hide {
			args[i] = "object.get({}, 0, " + args[i] + ")" // of any type
		}
	}
	return testCase{Query: "x = " + f.name + "(" + strings.Join(args, ", ") + ")", Strict: true, V0: true, Data: map[string]any{}}
}

var onlyCalls string

// Words that are the parser's or library's own, after which nothing is compared.
var ownWords = []string{
	"json.unmarshal: ", "yaml.unmarshal: ", "io.jwt.decode: ", "json.match_schema: ",
}

// As difference(), with the text of an error.
func callDifference(want, got outcome) string {
	if kind := difference(want, got); kind != "" {
		return kind
	}
	if len(want.Errors) == 0 || want.Errors[0].Stage != "eval" || len(got.Errors) == 0 {
		return ""
	}
	w, o := want.Errors[0].Message, got.Errors[0].Message
	for _, own := range ownWords {
		if strings.HasPrefix(w, own) && strings.HasPrefix(o, own) {
			return ""
		}
	}
	if strings.Contains(w, "jwk.Parse") { // the library's words
		return ""
	}
	if w != o {
		return "message " + strings.SplitN(w, ":", 2)[0]
	}
	return ""
}

// Why a difference of a call is wanted: docs/rego-conformance.md has the table.
var knownCalls = []struct {
	query, why *regexp.Regexp
	text       string
}{
	{regexp.MustCompile(`= sprintf\(.*[0-9]\.?[0-9]*(\.[0-9]|[eE])`), nil, "OPA 1.22 takes 1.0 and 1e3 for floats in sprintf (rego.md B: an integer, a text)"},
	{regexp.MustCompile(`= semver\..*("|\.|-|v)0[0-9]`), nil, "OPA 1.22 refuses leading zeros in versions (rego.md 6.11)"},
	{regexp.MustCompile(`= yaml\.`), nil, "OPA 1.22 reads YAML 1.2 and indents sequences (rego.md B: YAML 1.1, not indented)"},
	{regexp.MustCompile(`= (floor|ceil|round|abs|format_int|numbers\.|sum|product|units)`), nil, "numbers beyond 64 bits are exact here; OPA goes through floats, and a product through doubles"},
	{regexp.MustCompile(`= strings\.replace_n\(.*"": `), nil, "OPA replaces between the bytes of a letter"},
	{regexp.MustCompile(`= regex\.globs_match`), nil, "OPA's intersection of patterns forgets that a star may match nothing"},
	{regexp.MustCompile(`= to_number`), nil, "to_number writes JSON (rego.md 9.16)"},
	{regexp.MustCompile(`= strings\.render_template`), nil, "templates: words of Go's library, js, call and character constants"},
	{regexp.MustCompile(`= crypto\.x509\.parse`), nil, "certificates that do not parse are told of after wrong options, in other words"},
	{regexp.MustCompile(`= json\.(patch|match_schema|verify_schema|marshal_with_options)`), regexp.MustCompile(`^message|^only`), "words of a patch or schema that cannot be applied"},
	{regexp.MustCompile(`= net\.cidr_merge\(.*"::ffff:`), regexp.MustCompile(`^result`), "OPA does not merge the two ways to write an IPv4 network"},
	{regexp.MustCompile(`= regex\..*\\u0000`), regexp.MustCompile(`^message`), "a NUL ends what the message shows of a pattern"},
	{regexp.MustCompile(`= crypto\.parse_private_keys`), regexp.MustCompile(`^message`), "what is wrong with a private key is not told"},
	{regexp.MustCompile(`= uri\.parse\(.*//.*\[`), regexp.MustCompile(`^message`), "words of Go's reader of IPv6 addresses"},
	{regexp.MustCompile(`= glob\.match`), regexp.MustCompile(`^message|^result`), "OPA tells where in a glob the mistake is; alternatives of any length, letters of any size"},
	{regexp.MustCompile(`= regex.*\\pp`), nil, "Go 1.25 takes names of Unicode classes in any case"},
	{regexp.MustCompile(`= io\.jwt\.`), regexp.MustCompile(`^message`), "words of the JOSE library"},
	{regexp.MustCompile(`= (net|time)\.`), regexp.MustCompile(`^message`), "control characters in messages are escaped; words of bad time zone offsets"},
}

// Go takes the gap below such a number to be as wide as the one above it: what it writes reads as another.
func powerOfTwo(o outcome) bool {
	var one struct{ Bindings struct{ X json.Number } }
	if len(o.Result) != 1 || json.Unmarshal(o.Result[0], &one) != nil {
		return false
	}
	f, _, err := big.ParseFloat(one.Bindings.X.String(), 10, 64, big.ToNearestEven)
	return err == nil && f.MinPrec() == 1
}

func knownCall(c *testCase, want, got outcome, kind string) string {
	switch {
	case kind == "result" && negativeZero(want) && !negativeZero(got):
		return "OPA has a negative zero"
	case kind == "result" && powerOfTwo(got):
		return "OPA writes powers of two with too few digits"
	case kind == "result" && emptyPattern(c.Query, want, got):
		return "OPA replaces between the bytes of a letter"
	case kind == "result" && strings.Contains(c.Query, "json.match_schema(") && sameButOrder(want, got):
		return "OPA tells of members in the order of a hash table"
	}
	for _, k := range knownCalls {
		if k.query.MatchString(c.Query) && (k.why == nil || k.why.MatchString(kind)) {
			return k.text
		}
	}
	return ""
}
