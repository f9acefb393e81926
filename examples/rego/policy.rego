package example

default allow := false

allow if role_of(input.user) == "admin"

greeting := sprintf("hello %s", [input.user])
