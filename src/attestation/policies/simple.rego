# Claviger's built-in policy for CoCo simple tokens, id default.
#
# The input is flat: "tdx.quote.body.mr_td" is one name.  A claim that has a
# reference value must match it; the others are not looked at.
package policy

import rego.v1

default allow := false

allow if {
	every name, actual in input {
		acceptable(name, actual)
	}
}

acceptable(name, _) if not name in object.keys(data.reference)

acceptable(name, actual) if matches(data.reference[name], actual)

matches(expected, actual) if {
	not is_array(expected)
	expected == actual
}

# An empty list stands for no opinion.
matches(expected, _) if expected == []

matches(expected, actual) if {
	is_array(expected)
	actual in expected
}
