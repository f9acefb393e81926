# As rbac.rego, with the bindings in one long list.
package app.bindings

import rego.v1

default allow := false

allow if {
	some binding in data.bindings
	binding.user == input.user
	some permission in data.permissions[binding.role]
	permission.action == input.action
	permission.type == input.type
}
