# Nothing for anybody, while the keys are being rotated.
package policy

import rego.v1

default allow := false

allow if data["resource-path"] == "resource/default/nothing/at-all"
