# The token's signature and its claims.
package token

import rego.v1

default allow := false

allow if {
	[valid, _, claims] := io.jwt.decode_verify(input.token, {
		"cert": data.key,
		"iss": "https://issuer.example",
		"time": 1767225600000000000,
	})
	valid
	claims.role == "reader"
}
