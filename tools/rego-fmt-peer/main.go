// rego-fmt-peer says how `opa fmt` lays out every module of the conformance
// data, as digests: tests/data/rego/fmt.txt, which the repository keeps in place
// of the texts.
//
//	tools/rego-fmt-peer/run SHARED/conformance >tests/data/rego/fmt.txt
//	tools/rego-fmt-peer/run -dump DIR SHARED/conformance   writes DIR/N.rego and DIR/N.want
//
// A line: mode (v0, v1, both), file, number of its modules, and a digest (the first
// 16 digits of SHA-256) of their texts, each with a NUL behind it; a module that
// OPA refuses counts as the text `error`.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"go.yaml.in/yaml/v3"
)

// Every text in a list called modules, and every text called rego, in order.
func modules(n *yaml.Node, out *[]string) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			switch {
			case k.Value == "modules" && v.Kind == yaml.SequenceNode:
				for _, m := range v.Content {
					if m.Kind == yaml.ScalarNode {
						*out = append(*out, m.Value)
					}
				}
			case k.Value == "rego" && v.Kind == yaml.ScalarNode:
				*out = append(*out, v.Value)
			default:
				modules(v, out)
			}
		}
		return
	}
	for _, c := range n.Content {
		modules(c, out)
	}
}

func layout(text, mode string) (string, bool) {
	opts := format.Opts{ParserOptions: &ast.ParserOptions{}}
	switch mode {
	case "v0":
		opts.RegoVersion, opts.ParserOptions.RegoVersion = ast.RegoV0, ast.RegoV0
	case "v1":
		opts.RegoVersion, opts.ParserOptions.RegoVersion = ast.RegoV1, ast.RegoV1
	case "both":
		opts.RegoVersion, opts.ParserOptions.RegoVersion = ast.RegoV0CompatV1, ast.RegoV0
	}
	bs, err := format.SourceWithOpts("m.rego", []byte(text), opts)
	return string(bs), err == nil
}

func main() {
	dump := flag.String("dump", "", "write the texts to this folder")
	flag.Parse()
	root := flag.Arg(0)
	var files []string
	filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && strings.HasSuffix(path, ".yaml") && !strings.Contains(path, "/lexer/") {
			files = append(files, path)
		}
		return nil
	})
	sort.Strings(files)
	count := 0
	for _, path := range files {
		bs, _ := os.ReadFile(path)
		var doc yaml.Node
		if yaml.Unmarshal(bs, &doc) != nil {
			continue
		}
		var texts []string
		modules(&doc, &texts)
		rel, _ := filepath.Rel(root, path)
		if len(texts) == 0 {
			continue
		}
		modes := []string{"v1"}
		if !strings.HasPrefix(rel, "rego/v1/") {
			modes = []string{"v0", "both"}
		}
		for _, mode := range modes {
			sum := sha256.New()
			for _, text := range texts {
				got, ok := layout(text, mode)
				if !ok {
					got = "error"
				}
				sum.Write([]byte(got))
				sum.Write([]byte{0})
				if *dump != "" && ok {
					base := fmt.Sprintf("%s/%05d.%s", *dump, count, mode)
					os.WriteFile(base+".rego", []byte(text), 0o644)
					os.WriteFile(base+".want", []byte(got), 0o644)
				}
				count++
			}
			fmt.Printf("%s %s %d %.16x\n", mode, rel, len(texts), sum.Sum(nil)[:8])
		}
	}
}
