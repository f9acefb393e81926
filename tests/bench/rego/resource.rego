# Who gets what: the place in the key store and the state of the evidence decide.
package policy

import rego.v1

default allow := false

parts := split(data["resource-path"], "/")

allow if {
	count(parts) == 3
	parts[0] == "default"
	parts[1] == "kbsres1"
	input.submods.cpu0["ear.status"] == "affirming"
	not contraindicated
}

contraindicated if {
	some name
	input.submods[name]["ear.status"] == "contraindicated"
}
