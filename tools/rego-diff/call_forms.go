package main

import (
	"fmt"
	"strings"
)

func (g *generator) some(o operand, n int) string {
	return g.list("[", "]", n, func() string { return o(g) })
}

var cidr = texts("10.0.0.0/8", "10.1.2.3/24", "192.168.1.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1/128", "::ffff:1.2.3.4/120", "1.2.3.4/32",
	"10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/29", "fe80::1%eth0/64", "10.0.0.0/33", "10.0.0/8", "010.0.0.1/8", "192.0.128.0/23", "192.0.129.0/24",
	"2001:db8::8000/113", "::1/127", "255.255.255.255/31", "10.0.0.0/08", "172.16.0.0/12", "1.2.3.4/-1", "::ffff:10.0.0.0/104", "192.0.130.0/24")
var address = texts("10.0.0.1", "10.1.2.3", "1.2.3.4", "::1", "::ffff:1.2.3.4", "2001:db8::5", "fe80::1%eth0", "256.1.1.1", "1.2.3", "192.168.1.77", "0.0.0.0", "127.0.0.1",
	"01.2.3.4", "::", "2001:db8:0:0:1:0:0:1", "1.2.3.4 ", "224.0.0.1", "250.0.0.1", "191.1.1.1", "128.1.1.1")

var pattern = texts("a", "^[ab]+", "(a)(b)?", "[a-c]*", "", "(?i)ABC", "\\d+", "\\w*", "\\bfoo\\b", "(?P<x>a+)(?<y>b*)", "x*", "a|b|", "(a|ab)(c|bcd)", "[^a-z]", "\\pL+",
	"\\p{Greek}", "[[:alpha:]]", "(", "[", "a{2,3}", "a{1001}", "a**", "\\C", "\\1", "(?=a)", "\\Qa.b\\E", "\\x{1F600}", ".", "(?s).", "(?m)^a$", "$", "^", "(?U)a+", "a+?", "日",
	"\\z", "\\Z", "[a-\\d]", "[z-a]", "(?i)ß", "(?i)k", "é", "\\pN", "(a*)*", "(a*)+", "(?:a|b)*c", "[\\]]", "\\.", "a.c", "b*?", "\\B", "(?i:a)b", ".*?", "(|a)*", "(|a)+", "()")
var subject = texts("", "a", "abc", "aaa", "ab", "abcd", "aXbXc", "foo bar foo", "äöü", "日本語", "a.b", "12 345 6", "A", "ABC", "ß", "K", "a\nb\na", "aab", "😀x", "xxaxx", "foobar", "a]b", "b", "-a-")

var layouts = texts("2006-01-02", "2006-01-02T15:04:05Z07:00", "RFC3339", "RFC1123", "RFC1123Z", "RFC850", "RFC822", "RFC822Z", "ANSIC", "UnixDate", "RubyDate", "RFC3339Nano", "Kitchen",
	"Jan _2 06 03:04PM", "02/01/2006 15:04:05.000", "Monday, January 2, 2006", "2006 002", "__2", "15:04:05.999999999 -0700", "3:4:5 pm MST", "-07:00:00 Z070000", "06 1 2", "05,000", "",
	"2006-1-2 3:04 PM", "Stamp", "DateTime", "Z0700", "-07", "2006-01-02 15:04:05.000000", "Mon", "Jan", "January", "_2", "_2006", "2", "02", "002", "05.00", "15h4m5s", "03", "PM", "pm", "MST", "Z07", "2006-01-02T15:04:05")
var times = texts("2020-01-02T03:04:05Z", "2006-01-02", "1999-12-31T23:59:60Z", "2024-02-29T00:00:00+05:30", "2023-02-29T00:00:00Z", "Mon, 02 Jan 2006 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 +0200",
	"Monday, 02-Jan-06 15:04:05 PST", "02 Jan 06 15:04 UTC", "Mon Jan  2 15:04:05 2006", "Mon Jan 2 15:04:05 CEST 2006", "2006-01-02T15:04:05.123456789Z", "2006-01-02T15:04:05,5Z", "3:04PM", "Jan 12 21 03:04AM",
	"31/12/2021 23:59:59.123", "2021 366", "2020 366", "12", "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "1677-09-21T00:12:43Z", "2006-01-02T15:04:05-24:00", "2006-01-02T5:04:05Z", "",
	"2006-01-02T15:04:05z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Friday, January 13, 2023", "60", "24:00:00", "GMT+3", "WITA", "+03", "-0730", "20060102")
var zones = terms(`"UTC"`, `""`, `"America/New_York"`, `"Europe/Berlin"`, `"Asia/Kathmandu"`, `"Australia/Lord_Howe"`, `"Nope/Nope"`, `"utc"`, `"../etc"`, `"Asia/Kolkata"`, `"EST"`, `"Etc/GMT+5"`,
	`"America/Sao_Paulo"`, `"Africa/Casablanca"`, `"Pacific/Apia"`, `"Europe/Dublin"`, `"/etc"`, `"Europe\\Berlin"`)
var stamps = terms("0", "1577934245000000000", "1582977600123456789", "-1", "-62135596800000000000", "1e18", "1700000000000000000", "1603587600000000000", "1603591200000000000",
	"9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5", "86400000000000", "1711846800000000000", "1709251199999999999", "1709164800000000000", "951782400000000000",
	"4102444800000000000", "-2208988800000000000", "1700000000000000000.0", "1325239199000000000", "1325318400000000000", "1709200000120000000")

func stamp(g *generator) string {
	switch g.Intn(8) {
	case 0, 1, 2:
		return stamps(g)
	case 3, 4:
		return "[" + stamps(g) + ", " + zones(g) + "]"
	case 5:
		return fmt.Sprint(g.Int63() - g.Int63())
	case 6:
		return g.pick("[]", "[0]", `[0, "UTC", "2006", 1]`, `["a", "b"]`, `[0, 1]`)
	}
	return fmt.Sprintf("[%d, %s]", g.Int63()-g.Int63(), zones(g))
}

func stampLayout(g *generator) string {
	if g.chance(3) {
		return stamp(g)
	}
	return "[" + stamps(g) + ", " + zones(g) + ", " + layouts(g) + "]"
}

func verb(g *generator) string {
	if g.chance(20) {
		return g.pick("%", "%%", "%[", "%[1", "%[2]", "%!", "%é", "%\n")
	}
	s := "%"
	for g.chance(3) {
		s += g.pick("+", "-", "#", "0", " ")
	}
	if g.chance(6) {
		s += g.pick("[1]", "[2]", "[3]", "[0]", "[9]", "[x]", "[-1]", "[1]*", "*")
	}
	if g.chance(3) {
		s += g.pick("1", "3", "8", "12", "*", "20", "07")
	}
	if g.chance(4) {
		s += "." + g.pick("", "0", "1", "3", "10", "*", "[1]*", "25")
	}
	if g.chance(12) {
		s += g.pick("[1]", "[2]")
	}
	return s + g.pick("d", "s", "v", "x", "X", "q", "f", "g", "e", "E", "G", "b", "o", "O", "c", "U", "t", "T", "p", "F", "w", "d", "s", "v", "z", "n")
}

func formats(g *generator) string {
	var s string
	for i := g.Intn(3) + 1; i > 0; i-- {
		s += g.pick("", "a ", "é", "x=") + verb(g)
	}
	return quote(s)
}

var pathKeys = terms(`"a"`, `"b"`, `"c"`, `"d"`, `"0"`, `"1"`, `0`, `1`, `2`, `"-"`, `null`, `[1]`, `"a/b"`, `-1`, `1.0`, `{1}`)

func jsonPath(g *generator) string {
	if g.chance(3) {
		return g.some(pathKeys, g.Intn(4))
	}
	var s string
	for i := g.Intn(4); i > 0; i-- {
		s += g.pick("/", "/", "/", "") + g.pick("a", "b", "c", "0", "1", "2", "-", "a~1b", "~0x", "", "01", "~2", "-1", "d")
	}
	return quote(s)
}

func patchOp(g *generator) string {
	items := []string{}
	if !g.chance(25) {
		items = append(items, `"op": `+g.pick(`"add"`, `"remove"`, `"replace"`, `"move"`, `"copy"`, `"test"`, `"add"`, `"test"`))
	} else if g.chance(2) {
		items = append(items, `"op": `+g.pick(`"nope"`, `1`, `"ADD"`, `null`))
	}
	if !g.chance(25) {
		items = append(items, `"path": `+jsonPath(g))
	}
	if !g.chance(4) {
		items = append(items, `"value": `+g.pick(scalar(g), flat(g)))
	}
	if !g.chance(3) {
		items = append(items, `"from": `+jsonPath(g))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

var document = either(
	terms(`{"a": {"b": [1, 2, {"c": 3}]}, "d": {1, "x"}}`, `[1, [2, 3], {"a": 1}]`, `{"a/b": 1, "~x": 2, "": 3}`, `{"a": [{"b": 1}, {"b": 2}], "b": {"c": {"d": 1}}}`, `{1: {"a": 2}, null: 3}`, `{{"a": 1}, "b"}`),
	anyObject, anyObject)

var semver = texts("1.2.3", "v1.2.3", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-1", "1.2.3-1.2", "1.2.3+meta", "1.2.3-a+b.c", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "", "a.b.c", "1.2.3-", "1.2.3+",
	"18446744073709551616.1.1", "9223372036854775807.0.0", "1.2.3-01", "1.2.3-alpha.beta", "1.2.3-beta", "1.2.3-rc.10", "1.2.3-rc.9", "-1.2.3", "V1.2.3", "1.2.4", "1.2.3-a..b", "1.2.3-é", "0.0.0", " 1.2.3", "1.2.3-a_b")

var amount = func() operand {
	return func(g *generator) string {
		n := g.pick("1", "10", "1.5", "0.5", "-1", "+1", "1e3", "1E3", "1e-3", ".5", "5.", "", "1_0", "0x1", "007", "1e", "12345678901234567890", "0.0000000001", "3.14159", "1e7", "-", "1.2.3", "100", "1024", "1e9999999", "2.50")
		u := g.pick("", "m", "k", "K", "M", "g", "G", "t", "T", "p", "P", "e", "E", "ki", "Ki", "kI", "KI", "mi", "Mi", "MI", "gi", "ti", "pi", "ei", "Ei", "b", "B", "kb", "KB", "kib", "KiB", "mb", "mib", "gb", "GiB", "tb", "pb", "eb", "eib", "x", "kk", " k", "é", "bb", "i", "u", "n")
		s := n + u
		if g.chance(8) {
			s = g.mutate(s)
		}
		if g.chance(20) {
			s = `"` + s + `"`
		}
		return quote(s)
	}
}()

var uris = texts("http://example.com/a/b?x=1#f", "https://user:pw@host:8080/p%20q?y=%41", "mailto:a@b.c", "//host/path", "/a/b/../c", "?q=1", "#f", "", "http://[::1]:80/", "http://[fe80::1%25eth0]/", "http://a b/", "http://host:port/",
	"urn:isbn:123", "1http://x", "http://%41/", "http://x/%zz", "a:b", "http://x:/", "http://", "http:", "HTTP://EX.com", "http://x/é", "http://é/", "file:///etc/passwd", "http://x/a%2Fb", "http://x?", "http://x#", "data:text/plain,hi", ":foo", "http://[::1", "http://x/ a", "a b", "http://u@/x", "http://x:99999/", "ftp://h;type=a/b", "x://y/z:1", "foo/bar:baz", "foo:bar/baz", "http://x/\x7f", "http://h/[a]")

var uuids = texts("00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8",
	"6ba7b8109dad11d180b400c04fd430c8", "000003e8-48b9-21ee-b200-325096b39f47", "00000003-48b9-21ee-b201-325096b39f47", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "1ec9414c-232a-6b00-b3c8-9e6bdeced846", "URN:UUID:6ba7b810-9dad-11d1-80b4-00c04fd430c8", "x", "", "6ba7b810-9dad-81d1-c0b4-01c04fd430c8",
	"5df41881-3aed-3515-88a7-2f4a814cf09e", "ffffffff-ffff-ffff-ffff-ffffffffffff", "6ba7b810-9dad-11d1-e0b4-03c04fd430c8", "(6ba7b810-9dad-11d1-80b4-00c04fd430c8)", "00000001-48b9-21ee-b205-325096b39f47", "6BA7B810-9DAD-51D1-80B4-00C04FD430C8")

var globs = texts("*", "**", "a*", "*.com", "*.*", "a?c", "[abc]", "[!abc]", "[a-c]x", "[!a-c]", "{a,b}", "{a,b*}c", "{ab,cd}", "\\*", "a\\", "[", "{", "", "api.*.com", "**.com", "*:*", "{,a}b", "{*,**}", "a.b", "é*", "[é]", "?", "??", "[]", "[a", "[a-]", "{a,{b,c}}", "a**b", "***", "[a-z]*[0-9]", "{a.b,c}*", "]", "}", ",", "[!]", "[^a]")
var globDelims = terms("null", "[]", `["."]`, `[":"]`, `["/", "."]`, `["ab"]`, `[""]`, `["é"]`, `["*"]`)
var globSubject = texts("a", "b", "abc", "a.b", "api.github.com", "x.com", "a:b", "", "ab", "c", "axc", "äc", "é", "a/b.c", "*", "a*", "bx", "bxxc", "ac", "www.example.com", "d9", "z", "a.b.c", "]", "-", "!")

var jsonTexts = texts(`{"a": 1}`, `[1, 2, 3]`, `"x"`, `1`, `1.50`, `1e5`, `null`, ` true `, `{"a": 1, "a": 2}`, `[`, `{`, ``, `"\ud800"`, `"\u00e9\n"`, `01`, `-0`, `1.`, `[1,]`, `{"a":}`, `1 2`, `"a`, `{"a": {"b": [{}]}}`, `-1e-5`, `"\x"`, "\"a\tb\"", `nul`, `12345678901234567890123`, `[[[]]]`, "\ufeff1", `{"b":1,"a":2}`)
var yamlTexts = texts("a: 1\nb: [x, y]", "- 1\n- 2", "yes", "on", "~", "0x10", "010", "1.50", "2020-01-01", "'a'", "\"a\\n\"", "a: &x 1\nb: *x", "|\n  a\n  b", ">\n  a\n  b", "{a: 1, b: 2}", "a: 1\na: 2", "", "1e3", "1_000", ".inf", ".nan", "-.5", "0b11", "0o17", "!!str 1", "a: b: c", "[1, 2", "\t- a", "? a\n: b", "1: 2", "true: 1", "--- 1\n--- 2", "# c", "a: !!binary aGk=", "null: 1", "<<: {a: 1}\nb: 2", "a: |\n x\nb: 1", "'it''s'", "12:30:45", "0.1", "+1", "NO", "Off", "y", "n", "1.0", "[]", "{}", "a:", "- - 1\n  - 2", "1.5: x", "[a]: b", "18446744073709551616", "-9223372036854775808", "0777", "08", "1e400")

var base64Texts = texts("aGVsbG8=", "aGk", "YQ==", "YQ", "", "a", "aa==", "aGVs\nbG8=", "_-8=", "/+8=", "a GVs", "YR==", "YWI=", "YWJj", "====", "=", "YQ=", "YWI", "8J+YgA==", "/w==", "gICA")
var hexTexts = texts("00ff", "FF", "a", "", "zz", "deadBEEF", "0g", " 00", "e9", "c3a9")

var replacement = texts("", "x", "$1", "${1}x", "$x", "$$", "$", "${x}", "$1x", "$0", "<$0>", "${", "\\1", "$2$1", "é", "$y-$x", "${1")

var graphKey = terms(`"a"`, `"b"`, `"c"`, `"d"`, `1`, `[1]`, `null`)

func graph(g *generator) string {
	return objectOf(graphKey, either(arrayOf(graphKey), setOf(graphKey), arrayOf(graphKey), setOf(graphKey), terms("null", `"a"`)))(g)
}

func bigGraph(g *generator) string {
	var items []string
	for _, k := range []string{`"a"`, `"b"`, `"c"`, `"d"`} {
		items = append(items, k+": "+either(arrayOf(graphKey), setOf(graphKey))(g))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func schemaType(g *generator) string {
	return g.pick(`"string"`, `"integer"`, `"number"`, `"boolean"`, `"object"`, `"array"`, `"null"`, `["string", "null"]`, `"x"`, `[]`)
}

func schema(depth int) operand {
	return func(g *generator) string {
		var items []string
		add := func(k, v string) { items = append(items, fmt.Sprintf("%q: %s", k, v)) }
		sub := func() string {
			if depth <= 0 {
				return `{"type": ` + schemaType(g) + `}`
			}
			return schema(depth - 1)(g)
		}
		seen := map[int]bool{}
		for i := g.Intn(3) + 1; i > 0; i-- {
			n := g.Intn(26)
			if seen[n] {
				continue
			}
			seen[n] = true
			switch n {
			case 0, 1, 2:
				if !seen[100] {
					add("type", schemaType(g))
				}
				seen[100] = true
			case 3:
				add("properties", `{"a": `+sub()+`, "b": `+sub()+`}`)
			case 4:
				add("required", g.pick(`["a"]`, `["a", "b"]`, `[]`, `["a", "a"]`, `"a"`))
			case 5:
				add("additionalProperties", g.pick("false", "true", sub(), "1"))
			case 6:
				add("minimum", g.pick("1", "1.5", `"a"`, "3"))
			case 7:
				add("maximum", g.pick("1", "2", "0.5"))
			case 8:
				add("minLength", g.pick("0", "1", "2", "-1", "1.5"))
			case 9:
				add("maxLength", g.pick("0", "1", "2"))
			case 10:
				add("pattern", g.pick(`"^a"`, `"b$"`, `"("`, `"[0-9]+"`))
			case 11:
				add("enum", g.pick(`["a", 1]`, `[null]`, `[]`, `[1, 1]`, `[{"a": 1}, [1]]`))
			case 12:
				add("const", g.pick("1", `"a"`, "null", "[1]"))
			case 13:
				add("items", g.pick(sub(), "["+sub()+", "+sub()+"]", "true"))
			case 14:
				add("minItems", g.pick("1", "2"))
			case 15:
				add("maxItems", g.pick("0", "1"))
			case 16:
				add("uniqueItems", g.pick("true", "false", "1"))
			case 17:
				add("anyOf", "["+sub()+", "+sub()+"]")
			case 18:
				add("oneOf", "["+sub()+", "+sub()+"]")
			case 19:
				add("allOf", "["+sub()+", "+sub()+"]")
			case 20:
				add("not", sub())
			case 21:
				add("multipleOf", g.pick("2", "0.5", "0", "-1", "0.1"))
			case 22:
				add("format", g.pick(`"date"`, `"date-time"`, `"ipv4"`, `"email"`, `"uri"`, `"uuid"`, `"regex"`, `"hostname"`, `"time"`, `"nope"`, `"json-pointer"`))
			case 23:
				add("minProperties", g.pick("1", "2"))
			case 24:
				add(g.pick("exclusiveMinimum", "exclusiveMaximum"), g.pick("1", "true", "2.5"))
			case 25:
				add(g.pick("dependencies", "patternProperties", "contains", "propertyNames", "if", "definitions", "$ref", "$schema"),
					g.pick(sub(), `{"a": `+sub()+`}`, `{"a": ["b"]}`, `"#/definitions/a"`, `"http://json-schema.org/draft-07/schema#"`))
			}
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
}

var instance = either(
	objectOf(terms(`"a"`, `"b"`, `"c"`), either(terms(`1`, `2`, `1.5`, `"a"`, `"ab"`, `null`, `true`, `"2020-01-01"`, `"1.2.3.4"`, `3`), arrayOf(scalar))),
	func(g *generator) string {
		return quote(g.pick(`1`, `"a"`, `null`, `[1, 2, 2]`, `{"a": 1, "b": "x"}`, `[]`, `"ab1"`, `2.5`, `{"a": [1, "a"]}`, `"2020-01-01T00:00:00Z"`, `"1.2.3.4"`, `x`, `[1, 1]`))
	})

func template(g *generator) string {
	var s string
	for i := g.Intn(3) + 1; i > 0; i-- {
		s += g.pick("", "x ", "é", "\n") + g.pick("{{.a}}", "{{ .b }}", "{{.a.b}}", "{{range .c}}[{{.}}]{{end}}", "{{if .a}}y{{else}}n{{end}}", "{{with .b}}{{.}}{{end}}", "{{len .c}}", "{{index .c 0}}", "{{printf \"%v-%s\" .a .b}}",
			"{{- .a -}}", "{{/* c */}}", "{{range $i, $e := .c}}{{$i}}={{$e}};{{else}}none{{end}}", "{{$x := .a}}{{$x}}", "{{eq .a .b}}", "{{and .a .b}}", "{{or .a .b}}", "{{not .a}}", "{{lt 1 2}}", "{{.a | printf \"%q\"}}", "{{html .a}}", "{{js .b}}",
			"{{urlquery .a}}", "{{slice .b 0 1}}", "{{.", "{{end}}", "{{nope}}", "{{\"lit\"}}", "{{1.5}}", "{{true}}", "{{nil}}", "{{define \"t\"}}T{{.}}{{end}}{{template \"t\" .a}}", "{{print .a .b}}", "{{println .c}}", "{{break}}", "{{range .c}}{{break}}{{end}}", "{{.missing}}", "{{(index .c 1)}}", "{{if eq .a 1}}one{{else if eq .a 2}}two{{end}}", "{{.c}}", "{{.}}", "{{printf \"%d\" .a}}", "{{printf \"%T\" .a}}", "{{ge .a 1}}", "{{call .a}}", "{{block \"b\" .}}B{{end}}", "{{range 3}}{{.}}{{end}}", "{{$}}", "{{`raw`}}", "{{'x'}}", "{{len .b}}")
	}
	return quote(s)
}

var templateVars = func(g *generator) string {
	return `{"a": ` + g.pick("1", "2", `"x<y>&'"`, "null", "true", "false", "1.5", `{"b": "deep"}`, "12345678901234567890", `""`, "[]", "1e3") +
		`, "b": ` + g.pick(`"text"`, `"é日"`, "3", `{"x": 1, "y": [1]}`, "null", `""`) +
		`, "c": ` + g.pick("[1, 2]", `["a"]`, "[]", `{"k": "v", "l": 2}`, `[[1], {"a": 2}]`, `"str"`, "null") + `}`
}

func makeCallForms() []form {
	texts1 := func(o operand) operand { return either(o, arrayOf(o), setOf(o)) }
	cidrs := either(cidr, address)
	cidrItem := either(cidrs, func(g *generator) string { return "[" + cidrs(g) + ", " + scalar(g) + "]" })
	cidrColl := either(cidrItem, arrayOf(cidrItem), setOf(cidrItem), objectOf(keyText, cidrItem))
	paths := either(arrayOf(jsonPath), arrayOf(jsonPath), setOf(jsonPath))
	collection := either(anyArray, anySet)
	numbersOnly := either(arrayOf(anyNumber), setOf(anyNumber))
	list := []form{
		{"abs", []operand{anyNumber}}, {"ceil", []operand{anyNumber}}, {"floor", []operand{anyNumber}}, {"round", []operand{anyNumber}},
		{"plus", []operand{anyNumber, anyNumber}}, {"minus", []operand{anyNumber, anyNumber}}, {"mul", []operand{anyNumber, anyNumber}}, {"div", []operand{anyNumber, anyNumber}},
		{"rem", []operand{anyNumber, anyNumber}}, {"minus", []operand{anySet, anySet}}, {"and", []operand{anySet, anySet}}, {"or", []operand{anySet, anySet}},
		{"numbers.range", []operand{smallInt, smallInt}}, {"numbers.range_step", []operand{smallInt, smallInt, smallInt}},
		{"bits.and", []operand{anyNumber, anyNumber}}, {"bits.or", []operand{anyNumber, anyNumber}}, {"bits.xor", []operand{anyNumber, anyNumber}}, {"bits.negate", []operand{anyNumber}},
		{"bits.lsh", []operand{anyNumber, smallInt}}, {"bits.rsh", []operand{anyNumber, smallInt}},
		{"to_number", []operand{either(scalar, texts("1", "1.5", "-2", "1e5", "1E5", "0x10", "5.", "1e", "abc", " 1", "1 ", "Inf", "NaN", "1e400", "--1", "12345678901234567890", "1.0", "-0", "0.10"))}},
		{"format_int", []operand{anyNumber, either(terms("2", "8", "10", "16"), smallInt)}},
		{"count", []operand{anyValue}}, {"sum", []operand{numbersOnly}}, {"product", []operand{numbersOnly}}, {"max", []operand{collection}}, {"min", []operand{collection}}, {"sort", []operand{collection}},
		{"array.concat", []operand{anyArray, anyArray}}, {"array.reverse", []operand{anyArray}}, {"array.slice", []operand{anyArray, smallInt, smallInt}}, {"array.flatten", []operand{arrayOf(either(scalar, anyArray))}},
		{"intersection", []operand{setOf(anySet)}}, {"union", []operand{setOf(anySet)}},
		{"concat", []operand{anyText, texts1(anyText)}}, {"contains", []operand{anyText, anyText}}, {"startswith", []operand{anyText, anyText}}, {"endswith", []operand{anyText, anyText}},
		{"indexof", []operand{anyText, anyText}}, {"indexof_n", []operand{anyText, anyText}}, {"lower", []operand{anyText}}, {"upper", []operand{anyText}},
		{"replace", []operand{anyText, anyText, anyText}}, {"strings.replace_n", []operand{objectOf(anyText, anyText), anyText}}, {"split", []operand{anyText, anyText}},
		{"strings.split_n", []operand{anyText, terms(`""`, `"X"`, `"a"`, `" "`, `"."`), smallInt}}, {"sprintf", []operand{formats, anyArray}}, {"sprintf", []operand{formats, arrayOf(anyNumber)}}, {"sprintf", []operand{formats, arrayOf(anyText)}},
		{"substring", []operand{anyText, smallInt, smallInt}}, {"trim", []operand{anyText, anyText}}, {"trim_left", []operand{anyText, anyText}}, {"trim_right", []operand{anyText, anyText}},
		{"trim_prefix", []operand{anyText, anyText}}, {"trim_suffix", []operand{anyText, anyText}}, {"trim_space", []operand{anyText}},
		{"strings.any_prefix_match", []operand{texts1(anyText), texts1(anyText)}}, {"strings.any_suffix_match", []operand{texts1(anyText), texts1(anyText)}},
		{"strings.count", []operand{anyText, anyText}}, {"strings.reverse", []operand{anyText}}, {"strings.render_template", []operand{template, templateVars}}, {"strings.render_template", []operand{template, templateVars}},
		{"regex.match", []operand{pattern, subject}}, {"regex.is_valid", []operand{pattern}}, {"regex.find_n", []operand{pattern, subject, smallInt}}, {"regex.find_all_string_submatch_n", []operand{pattern, subject, smallInt}},
		{"regex.split", []operand{pattern, subject}}, {"regex.replace", []operand{subject, pattern, replacement}},
		{"regex.template_match", []operand{texts("a{.*}", "urn:{[a-z]+}:x", "{a{2}}", "{", "}", "a", "", "{[a-z]+}{\\d}", "<.*>b"), subject, terms(`"{"`, `"<"`, `""`, `"{{"`, `"é"`), terms(`"}"`, `">"`, `""`)}},
		{"regex.globs_match", []operand{texts("a.*", "a.b", "[a-c]*", "a+", ".+", "a\\*", "", "[a", "b", "a.*c", "[0-9]+x", "*", "a**", "[^a]", ".*a", "[]"), texts("a.*", ".*", "ab", "[b-d]+", "a", "a*b", "c", "", ".b", "a.*d", "[x", "5x", "\\*")}},
		{"glob.match", []operand{globs, globDelims, globSubject}}, {"glob.match", []operand{globs, globDelims, globSubject}}, {"glob.quote_meta", []operand{either(globs, anyText)}},
		{"object.get", []operand{document, either(pathKeys, arrayOf(pathKeys)), scalar}}, {"object.keys", []operand{anyObject}}, {"object.remove", []operand{anyObject, either(arrayOf(keyText), setOf(keyText), anyObject)}},
		{"object.filter", []operand{anyObject, either(arrayOf(keyText), setOf(keyText), anyObject)}}, {"object.union", []operand{anyObject, anyObject}}, {"object.union_n", []operand{arrayOf(anyObject)}},
		{"object.subset", []operand{either(anyObject, anyArray, anySet), either(anyObject, anyArray, anySet)}},
		{"json.filter", []operand{document, paths}}, {"json.remove", []operand{document, paths}}, {"json.patch", []operand{document, arrayOf(patchOp)}}, {"json.patch", []operand{document, arrayOf(patchOp)}},
		{"json.marshal", []operand{anyValue}}, {"json.marshal_with_options", []operand{anyValue, terms("{}", `{"pretty": true}`, `{"indent": "  "}`, `{"prefix": ">"}`, `{"pretty": false, "indent": " "}`, `{"x": 1}`, `{"pretty": 1}`, `{"indent": 1}`, `{"indent": "--", "prefix": "é"}`, `{1: 2}`)}},
		{"json.unmarshal", []operand{jsonTexts}}, {"json.is_valid", []operand{jsonTexts}}, {"yaml.unmarshal", []operand{yamlTexts}}, {"yaml.is_valid", []operand{yamlTexts}}, {"yaml.marshal", []operand{either(anyValue, arrayOf(yamlTexts), yamlTexts)}},
		{"json.match_schema", []operand{instance, schema(1)}}, {"json.match_schema", []operand{instance, schema(0)}}, {"json.verify_schema", []operand{schema(1)}},
		{"base64.encode", []operand{anyText}}, {"base64.decode", []operand{base64Texts}}, {"base64.is_valid", []operand{base64Texts}}, {"base64url.encode", []operand{anyText}}, {"base64url.encode_no_pad", []operand{anyText}}, {"base64url.decode", []operand{base64Texts}},
		{"hex.encode", []operand{anyText}}, {"hex.decode", []operand{hexTexts}}, {"urlquery.encode", []operand{either(anyText, uris)}}, {"urlquery.decode", []operand{texts("a+b", "%41", "%zz", "%", "%e9", "a%20b", "", "%C3%A9", "a&b", "x=1;y=2")}},
		{"urlquery.encode_object", []operand{objectOf(anyText, texts1(anyText))}}, {"urlquery.decode_object", []operand{texts("a=1&b=2", "a=1&a=2", "a", "=b", "", "a=1;b=2", "a=%zz", "%41=+x", "a=b=c", "&&a=1&", "é=ü")}},
		{"uri.parse", []operand{uris}}, {"uri.is_valid", []operand{uris}}, {"semver.is_valid", []operand{semver}}, {"semver.compare", []operand{semver, semver}}, {"units.parse", []operand{amount}}, {"units.parse_bytes", []operand{amount}},
		{"time.parse_rfc3339_ns", []operand{times}}, {"time.parse_ns", []operand{layouts, times}}, {"time.parse_ns", []operand{layouts, times}}, {"time.parse_duration_ns", []operand{texts("1h", "1.5h", "-2m3s", "1us", "1µs", "1μs", "0", "", "1", "1d", "1w", "1y", "1h1", ".5s", "1.s", "9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "1x", "h", "+1h", "1h-1m", "1e3s", "300y", "1d12h", "1.5d", "3 h")}},
		{"time.format", []operand{stampLayout}}, {"time.format", []operand{stampLayout}}, {"time.date", []operand{stamp}}, {"time.clock", []operand{stamp}}, {"time.weekday", []operand{stamp}}, {"time.add_date", []operand{stamps, smallInt, smallInt, smallInt}}, {"time.diff", []operand{stamp, stamp}},
		{"net.cidr_contains", []operand{cidr, cidrs}}, {"net.cidr_contains_matches", []operand{cidrColl, cidrColl}}, {"net.cidr_intersects", []operand{cidr, cidr}}, {"net.cidr_expand", []operand{terms(`"10.0.0.0/29"`, `"10.0.0.7/30"`, `"::1/126"`, `"1.2.3.4"`, `"1.2.3.4/32"`, `"::ffff:1.2.3.4/126"`, `"x"`, `"255.255.255.254/31"`)}},
		{"net.cidr_is_valid", []operand{cidrs}}, {"net.cidr_merge", []operand{either(arrayOf(cidrs), setOf(cidrs))}}, {"net.cidr_merge", []operand{arrayOf(cidr)}},
		{"graph.reachable", []operand{graph, either(arrayOf(graphKey), setOf(graphKey))}}, {"graph.reachable_paths", []operand{bigGraph, either(arrayOf(graphKey), setOf(graphKey))}}, {"graph.reachable_paths", []operand{graph, either(arrayOf(graphKey), setOf(graphKey))}},
		{"crypto.md5", []operand{anyText}}, {"crypto.sha1", []operand{anyText}}, {"crypto.sha256", []operand{anyText}}, {"crypto.hmac.md5", []operand{anyText, anyText}}, {"crypto.hmac.sha1", []operand{anyText, anyText}}, {"crypto.hmac.sha256", []operand{anyText, anyText}}, {"crypto.hmac.sha512", []operand{anyText, anyText}}, {"crypto.hmac.equal", []operand{anyText, anyText}},
		{"uuid.parse", []operand{uuids}}, {"type_name", []operand{anyValue}}, {"is_string", []operand{anyValue}}, {"is_number", []operand{anyValue}}, {"is_array", []operand{anyValue}}, {"is_set", []operand{anyValue}}, {"is_object", []operand{anyValue}}, {"is_null", []operand{anyValue}}, {"is_boolean", []operand{anyValue}},
		{"internal.member_2", []operand{scalar, anyValue}}, {"internal.member_3", []operand{either(keyText, smallInt), scalar, anyValue}},
		{"lt", []operand{anyValue, anyValue}}, {"lte", []operand{anyNumber, anyNumber}}, {"gt", []operand{anyNumber, anyNumber}}, {"gte", []operand{anyValue, anyValue}}, {"equal", []operand{anyNumber, anyNumber}}, {"neq", []operand{anyValue, anyValue}},
		{"walk", []operand{anyValue}},
	}
	return append(list, tokenForms()...)
}
