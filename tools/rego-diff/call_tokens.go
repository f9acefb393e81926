package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

// Keys, certificates and tokens, made anew in each run.
type identity struct {
	alg, ca, leaf, pub, key, jwk, private string
	signer                                crypto.Signer
}

var identities []*identity

var b64 = base64.RawURLEncoding

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func jwks(signer crypto.Signer) (public, private string) {
	n := func(i *big.Int, size int) string { return b64.EncodeToString(i.FillBytes(make([]byte, size))) }
	m := map[string]string{}
	p := map[string]string{}
	switch k := signer.(type) {
	case *rsa.PrivateKey:
		m = map[string]string{"kty": "RSA", "n": b64.EncodeToString(k.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(k.E)).Bytes())}
		p = map[string]string{"d": b64.EncodeToString(k.D.Bytes()), "p": b64.EncodeToString(k.Primes[0].Bytes()), "q": b64.EncodeToString(k.Primes[1].Bytes()),
			"dp": b64.EncodeToString(k.Precomputed.Dp.Bytes()), "dq": b64.EncodeToString(k.Precomputed.Dq.Bytes()), "qi": b64.EncodeToString(k.Precomputed.Qinv.Bytes())}
	case *ecdsa.PrivateKey:
		size := (k.Curve.Params().BitSize + 7) / 8
		m = map[string]string{"kty": "EC", "crv": k.Curve.Params().Name, "x": n(k.X, size), "y": n(k.Y, size)}
		p = map[string]string{"d": n(k.D, size)}
	case ed25519.PrivateKey:
		m = map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64.EncodeToString(k.Public().(ed25519.PublicKey))}
		p = map[string]string{"d": b64.EncodeToString(k.Seed())}
	}
	js, _ := json.Marshal(m)
	for name, value := range m {
		p[name] = value
	}
	ps, _ := json.Marshal(p)
	return string(js), string(ps)
}

func newIdentity(alg string, signer crypto.Signer) *identity {
	id := &identity{alg: alg, signer: signer}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root", Organization: []string{"O"}}, NotBefore: time.Unix(1600000000, 0), NotAfter: time.Unix(4000000000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, MaxPathLen: 1}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, signer.Public(), signer)
	must(err)
	id.ca = pemText("CERTIFICATE", der)
	u, _ := url.Parse("spiffe://a/b")
	leaf := &x509.Certificate{SerialNumber: big.NewInt(12345678901234), Subject: pkix.Name{CommonName: "leaf", Country: []string{"DE"}, SerialNumber: "7"}, NotBefore: time.Unix(1600000000, 0), NotAfter: time.Unix(3000000000, 0),
		DNSNames: []string{"example.com", "*.example.org"}, IPAddresses: []net.IP{net.IPv4(1, 2, 3, 4), net.ParseIP("::1")}, URIs: []*url.URL{u}, EmailAddresses: []string{"a@b.c"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageOCSPSigning}, BasicConstraintsValid: true,
		OCSPServer: []string{"http://ocsp"}, CRLDistributionPoints: []string{"http://crl"}}
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, signer.Public(), signer)
	must(err)
	id.leaf = pemText("CERTIFICATE", der)
	der, err = x509.MarshalPKIXPublicKey(signer.Public())
	must(err)
	id.pub = pemText("PUBLIC KEY", der)
	der, err = x509.MarshalPKCS8PrivateKey(signer)
	must(err)
	id.key = pemText("PRIVATE KEY", der)
	if k, ok := signer.(*ecdsa.PrivateKey); ok {
		der, err = x509.MarshalECPrivateKey(k)
		must(err)
		id.key = pemText("EC PRIVATE KEY", der)
	}
	id.jwk, id.private = jwks(signer)
	return id
}

func makeIdentities() {
	if len(identities) > 0 {
		return
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	identities = append(identities, newIdentity("RS256", r))
	for _, c := range []struct {
		alg   string
		curve elliptic.Curve
	}{{"ES256", elliptic.P256()}, {"ES384", elliptic.P384()}, {"ES512", elliptic.P521()}} {
		k, err := ecdsa.GenerateKey(c.curve, rand.Reader)
		must(err)
		identities = append(identities, newIdentity(c.alg, k))
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	identities = append(identities, newIdentity("EdDSA", e))
}

func digest(alg string) (crypto.Hash, func() hash.Hash) {
	switch alg[2:] {
	case "384":
		return crypto.SHA384, sha512.New384
	case "512":
		return crypto.SHA512, sha512.New
	}
	return crypto.SHA256, sha256.New
}

// A token that is signed as it says, mostly.
func (g *generator) token() string {
	makeIdentities()
	id := identities[g.Intn(len(identities))]
	alg := id.alg
	if alg == "RS256" {
		alg = g.pick("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
	}
	if g.chance(3) {
		alg = g.pick("HS256", "HS384", "HS512")
	}
	header := `{"alg":"` + alg + `"` + g.pick("", "", `,"typ":"JWT"`, `,"kid":"k1"`, `,"cty":"x"`, `,"crit":["alg"]`, `,"crit":["exp"]`, `,"typ":1`, `,"enc":"x"`, `,"crit":"exp"`) + "}"
	if g.chance(25) {
		header = g.pick(`{}`, `[]`, `{"alg":"none"}`, `{"alg":1}`, `x`, `{"alg":"HS999"}`, `null`)
	}
	payload := `{"sub":"s"` + g.pick("", `,"iss":"me"`, `,"iss":1`) + g.pick("", `,"aud":"x"`, `,"aud":["x","y"]`, `,"aud":1`, `,"aud":[]`, `,"aud":[1,"x"]`) +
		g.pick("", `,"exp":1700000000`, `,"exp":1700000001`, `,"exp":1.5e9`, `,"exp":"x"`, `,"exp":4000000000`, `,"exp":1700000000.5`) + g.pick("", `,"nbf":1700000000`, `,"nbf":1700000001`, `,"nbf":"x"`, `,"nbf":0`) + "}"
	if g.chance(25) {
		payload = g.pick(`[]`, `x`, ``, `{"a":1,"a":2}`, `"x"`, `null`)
	}
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	h, mac := digest(alg + "   ")
	sum := func() []byte { d := mac(); d.Write([]byte(input)); return d.Sum(nil) }
	var sig []byte
	switch k := id.signer.(type) {
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			sig, _ = rsa.SignPSS(rand.Reader, k, h, sum(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, _ = rsa.SignPKCS1v15(nil, k, h, sum())
		}
	case *ecdsa.PrivateKey:
		r, s, _ := ecdsa.Sign(rand.Reader, k, sum())
		size := (k.Curve.Params().BitSize + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(input))
	}
	if alg[0] == 'H' {
		m := hmac.New(mac, []byte("secret"))
		m.Write([]byte(input))
		sig = m.Sum(nil)
	}
	t := input + "." + b64.EncodeToString(sig)
	if g.chance(12) {
		t = g.mutate(t)
	}
	return t
}

func tokenTerm(g *generator) string {
	if g.chance(20) {
		return quote(g.pick("", "a", "a.b", "a.b.c", "a.b.c.d", "..", "e30.e30.", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30."))
	}
	return quote(g.token())
}

func keyTerm(g *generator) string {
	makeIdentities()
	id := identities[g.Intn(len(identities))]
	jwk := id.jwk
	if g.chance(3) {
		jwk = strings.Replace(jwk, "{", "{"+g.pick(`"kid":"k1",`, `"kid":"k2",`, `"alg":"`+id.alg+`",`, `"use":"sig",`, `"use":"enc",`, `"alg":"PS256",`), 1)
	}
	s := g.pick(id.ca, id.leaf, id.pub, jwk, jwk, `{"keys":[`+jwk+`]}`, `{"keys":[`+jwk+","+identities[g.Intn(len(identities))].jwk+`]}`, id.key, "x", "", `{"keys":[]}`, "{}", id.pub+id.ca, "\n"+id.pub)
	if g.chance(20) {
		s = g.mutate(s)
	}
	return quote(s)
}

func constraints(g *generator) string {
	var items []string
	if !g.chance(3) {
		items = append(items, `"cert": `+keyTerm(g))
	}
	if len(items) == 0 || g.chance(15) {
		items = append(items, `"secret": `+g.pick(`"secret"`, `"secret"`, `"x"`, `""`, "1"))
	}
	if g.chance(4) {
		items = append(items, `"alg": `+g.pick(`"RS256"`, `"HS256"`, `"ES256"`, `"nope"`, `1`))
	}
	if g.chance(4) {
		items = append(items, `"iss": `+g.pick(`"me"`, `"you"`, `1`))
	}
	if g.chance(2) {
		items = append(items, `"aud": `+g.pick(`"x"`, `"y"`, `"z"`, `["x", "q"]`, `{"x"}`, "1"))
	}
	items = append(items, `"time": `+g.pick("1700000000000000000", "1699999999999999999", "1700000001000000000", "0", `"x"`, "1.5", "1700000000500000000"))
	if g.chance(30) {
		items = append(items, `"nope": 1`)
	}
	g.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return "{" + strings.Join(items, ", ") + "}"
}

// Only algorithms whose signatures are always the same.
func signKey(g *generator) (alg, key string) {
	makeIdentities()
	switch g.Intn(4) {
	case 0:
		return g.pick("RS256", "RS384", "RS512"), identities[0].private
	case 1:
		return "EdDSA", identities[4].private
	}
	return g.pick("HS256", "HS384", "HS512", "HS256", "nope", "ES256", "none"), `{"kty":"oct","k":"` + g.pick("c2VjcmV0", "", "AA", "!!") + `"}`
}

func signCase(g *generator, raw bool) string {
	alg, key := signKey(g)
	header := `{"alg":"` + alg + `"` + g.pick("", `,"typ":"JWT"`, `,"typ":"x"`, `,"kid":"é"`, `,"crit":["x"]`, `,"typ":1`, `,"b64":false`) + "}"
	if g.chance(12) {
		header = g.pick("{}", `{"typ":"JWT"}`, `{"alg":1}`)
	}
	payload := g.pick(`{"b":1,"a":[1.50,"<&>"]}`, `{}`, `{"exp":1e3}`, `{"é":"\u2028"}`, `{"a":null}`)
	if g.chance(10) {
		key = g.pick(`{}`, `{"kty":"x"}`, `{"keys":[`+key+`]}`, `{"kty":"RSA"}`, `{"kty":"oct"}`)
	}
	if raw {
		if g.chance(6) {
			payload = g.pick("x", "", "[1]", `{"a":`)
		}
		return quote(header) + ", " + quote(payload) + ", " + quote(key)
	}
	return header + ", " + payload + ", " + key
}

func pemTerm(g *generator) string {
	makeIdentities()
	id, other := identities[g.Intn(len(identities))], identities[g.Intn(len(identities))]
	s := g.pick(id.ca+id.leaf, id.ca+id.leaf, id.ca+other.leaf, id.leaf, id.leaf+id.ca, id.ca, id.ca+id.ca+id.leaf, id.key, "", "x", id.pub, id.ca+"junk\n"+id.leaf, " "+id.ca+id.leaf, id.ca+id.key)
	switch g.Intn(6) {
	case 0:
		s = base64.StdEncoding.EncodeToString([]byte(s))
	case 1:
		if b, rest := pem.Decode([]byte(id.ca + id.leaf)); b != nil {
			c, _ := pem.Decode(rest)
			s = base64.StdEncoding.EncodeToString(append(b.Bytes, c.Bytes...))
		}
	case 2:
		if g.chance(3) {
			s = g.mutate(s)
		}
	}
	return quote(s)
}

func verifyOptions(g *generator) string {
	var items []string
	if g.chance(2) {
		items = append(items, `"DNSName": `+g.pick(`"example.com"`, `"a.example.org"`, `"nope.com"`, `""`, `1`, `"EXAMPLE.COM"`, `"1.2.3.4"`, `"a.b.example.org"`, `"example.com."`))
	}
	if g.chance(2) {
		items = append(items, `"CurrentTime": `+g.pick("1700000000000000000", "0", "3500000000000000000", `"x"`, "1.5"))
	}
	if g.chance(2) {
		items = append(items, `"KeyUsages": `+g.pick(`["KeyUsageAny"]`, `["KeyUsageServerAuth"]`, `{"KeyUsageClientAuth"}`, `["KeyUsageOCSPSigning", "KeyUsageClientAuth"]`, `["nope"]`, `["nope", "nada", 1]`, `[]`, `"KeyUsageAny"`))
	}
	if g.chance(5) {
		items = append(items, `"MaxConstraintComparisons": `+g.pick("5", "0", `"x"`, "-1"))
	}
	if g.chance(12) {
		items = append(items, `"Nope": 1`)
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func csr(g *generator) string {
	makeIdentities()
	id := identities[g.Intn(len(identities))]
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "req", Organization: []string{"o"}}, DNSNames: []string{"a.b"}, EmailAddresses: []string{"x@y"}, IPAddresses: []net.IP{net.IPv4(9, 8, 7, 6)}}, id.signer)
	must(err)
	s := pemText(g.pick("CERTIFICATE REQUEST", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), der)
	if g.chance(3) {
		s = base64.StdEncoding.EncodeToString(der)
	}
	if g.chance(6) {
		s = g.pick(id.ca, "", "x", g.mutate(s))
	}
	return quote(s)
}

func keyPem(g *generator) string {
	makeIdentities()
	id, other := identities[g.Intn(len(identities))], identities[g.Intn(len(identities))]
	s := g.pick(id.key, id.key, id.key+other.key, other.ca+id.key, id.pub, "", "x")
	if k, ok := id.signer.(*rsa.PrivateKey); ok && g.chance(2) {
		s = pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
	}
	if g.chance(5) {
		s = base64.StdEncoding.EncodeToString([]byte(s))
	}
	if g.chance(10) {
		s = g.mutate(s)
	}
	return quote(s)
}

func keypair(g *generator) string {
	makeIdentities()
	id, other := identities[g.Intn(len(identities))], identities[g.Intn(len(identities))]
	if !g.chance(4) {
		other = id
	}
	c, k := g.pick(id.leaf, id.ca, id.leaf+id.ca, id.pub), other.key
	if g.chance(3) {
		c, k = base64.StdEncoding.EncodeToString([]byte(c)), base64.StdEncoding.EncodeToString([]byte(k))
	}
	return quote(c) + ", " + quote(k)
}

func tokenForms() []form {
	all := func(o operand) []operand { return []operand{o} }
	list := []form{
		{"io.jwt.decode", all(tokenTerm)}, {"io.jwt.decode_verify", []operand{tokenTerm, constraints}}, {"io.jwt.decode_verify", []operand{tokenTerm, constraints}}, {"io.jwt.decode_verify", []operand{tokenTerm, constraints}},
		{"io.jwt.encode_sign", all(func(g *generator) string { return signCase(g, false) })}, {"io.jwt.encode_sign_raw", all(func(g *generator) string { return signCase(g, true) })},
		{"crypto.x509.parse_certificates", all(pemTerm)}, {"crypto.x509.parse_and_verify_certificates", all(pemTerm)}, {"crypto.x509.parse_and_verify_certificates_with_options", []operand{pemTerm, verifyOptions}},
		{"crypto.x509.parse_certificate_request", all(csr)}, {"crypto.x509.parse_keypair", all(keypair)}, {"crypto.x509.parse_rsa_private_key", all(keyPem)}, {"crypto.parse_private_keys", all(keyPem)},
	}
	for _, alg := range []string{"rs256", "rs384", "rs512", "ps256", "ps384", "ps512", "es256", "es384", "es512", "eddsa"} {
		list = append(list, form{"io.jwt.verify_" + alg, []operand{func(g *generator) string { return tokenTerm(g) }, keyTerm}})
	}
	for _, n := range []int{256, 384, 512} {
		list = append(list, form{fmt.Sprintf("io.jwt.verify_hs%d", n), []operand{tokenTerm, terms(`"secret"`, `"secret"`, `"x"`, `""`)}})
	}
	return list
}
