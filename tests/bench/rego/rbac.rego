# Roles are bound to users, permissions to roles; 10,000 bindings.
package app.rbac

import rego.v1

default allow := false

allow if "admin" in roles

allow if {
	some role in roles
	some permission in data.permissions[role]
	permission.action == input.action
	permission.type == input.type
}

roles contains role if some role in data.bindings[input.user]
