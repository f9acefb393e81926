# Is it one of 2,048?
package lists

import rego.v1

default allow := false

allow if {
	input.digest in data.digests
	not input.digest in data.revoked
}
