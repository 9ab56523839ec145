package main

import (
	"context"
	"fmt"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const name = "ingress.k8s.aws/alb"

var parameters = schema.GroupVersionKind{Group: "elbv2.k8s.aws", Version: "v1beta1", Kind: "IngressClassParams"}

// Class is an IngressClass that names this controller, with its parameters.
type Class struct {
	scheme string   // of all its load balancers; empty where each Ingress says its own
	cidrs  []string // who may reach the load balancers
}

// classOf an Ingress, nil where it is another controller's or none. It is an error where class or
// parameters do not exist.
func classOf(ctx context.Context, from client.Reader, ingress *networking.Ingress) (*Class, error) {
	if ingress.Spec.IngressClassName == nil {
		return nil, nil
	}
	var class networking.IngressClass
	if err := from.Get(ctx, types.NamespacedName{Name: *ingress.Spec.IngressClassName}, &class); err != nil {
		return nil, fmt.Errorf("invalid ingress class: %w", err)
	}
	if class.Spec.Controller != name {
		return nil, nil
	}
	found := &Class{cidrs: []string{"0.0.0.0/0"}} // as the real one has it
	if of := class.Spec.Parameters; of != nil {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(parameters)
		if err := from.Get(ctx, types.NamespacedName{Name: of.Name}, object); err != nil {
			return nil, fmt.Errorf("invalid ingress class: %w", err)
		}
		found.scheme, _, _ = unstructured.NestedString(object.Object, "spec", "scheme")
		if cidrs, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "inboundCIDRs"); cidrs != nil {
			found.cidrs = cidrs
		}
	}
	return found, nil
}
