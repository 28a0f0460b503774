package template

type Template struct{}
