package config

import (
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// evaluate returns the value of an expression of the native dialect: literals,
// templates, env.NAME and coalesce. A variable that is not set is null, which
// coalesce passes over and everything else refuses.
func evaluate(r *reporter, e hclsyntax.Expression) (cty.Value, bool) {
	if !allowed(r, e) {
		return cty.NilVal, false
	}
	set, missing := map[string]cty.Value{}, "the value cannot be computed"
	for _, t := range e.Variables() {
		name, _ := variable(t)
		if text, ok := os.LookupEnv(name); ok {
			set[name] = cty.StringVal(text)
		} else {
			set[name], missing = cty.NullVal(cty.String), "env."+name+" is not set"
		}
	}
	v, diags := e.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{"env": cty.ObjectVal(set)},
		Functions: map[string]function.Function{"coalesce": stdlib.CoalesceFunc},
	})
	if len(set) > 0 && (diags.HasErrors() || v.IsNull()) {
		r.errorf(spanOf(e.Range()), `write coalesce(env.NAME, "default") where it may be missing`, "%s", missing)
		return v, false
	}
	for _, d := range diags {
		r.errorf(spanOf(*d.Subject), "", "%s", lowerFirst(d.Detail))
	}
	usable := v.IsKnown() && v.Type().IsPrimitiveType() || v.IsNull()
	if !usable && !r.failed { // otherwise a syntax error is why
		r.errorf(spanOf(e.Range()), "", "the value cannot be computed")
	}
	return v, usable && !diags.HasErrors()
}

// asText is a value that is not null as a string.
func asText(v cty.Value) string {
	s, _ := convert.Convert(v, cty.String) // which any primitive value can be
	return s.AsString()
}

// variable returns the NAME of env.NAME.
func variable(t hcl.Traversal) (string, bool) {
	if len(t) == 2 && t.RootName() == "env" {
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			return step.Name, true
		}
	}
	return "", false
}

// allowed refuses what HCL 2 can compute beyond a choice between strings.
func allowed(r *reporter, e hclsyntax.Expression) bool {
	const hint = `a value is a literal, "${env.NAME}" or coalesce(env.NAME, "default"); a literal ${ is written $${`
	ok := true
	refuse := func(at hcl.Range, message string) {
		if ok {
			r.errorf(spanOf(at), hint, "%s", message)
		}
		ok = false
	}
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.LiteralValueExpr, *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr, *hclsyntax.ParenthesesExpr:
		case *hclsyntax.UnaryOpExpr:
			if _, number := n.Val.(*hclsyntax.LiteralValueExpr); !number || n.Op != hclsyntax.OpNegate {
				refuse(n.SrcRange, "nothing is computed here")
			}
		case *hclsyntax.ScopeTraversalExpr:
			if _, known := variable(n.Traversal); !known {
				refuse(n.SrcRange, "there is no variable "+r.show(spanOf(n.SrcRange)))
			}
		case *hclsyntax.FunctionCallExpr:
			if n.Name != "coalesce" || n.ExpandFinal {
				refuse(n.NameRange, "there is no function "+n.Name+", only coalesce")
			}
		default:
			refuse(n.Range(), "nothing is computed here")
		}
		return nil
	})
	return ok
}
