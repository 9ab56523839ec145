package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"

	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// register serves what the chart's webhook configuration asks for, at the real one's paths.
func register(server webhook.Server, from client.Reader) {
	checks := map[string]admission.HandlerFunc{
		"/validate-networking-v1-ingress": func(ctx context.Context, request admission.Request) admission.Response {
			var ingress networking.Ingress
			if err := json.Unmarshal(request.Object.Raw, &ingress); err != nil {
				return admission.Errored(http.StatusBadRequest, err)
			}
			if _, err := classOf(ctx, from, &ingress); err != nil && ingress.DeletionTimestamp.IsZero() {
				return admission.Denied(err.Error())
			}
			return admission.Allowed("")
		},
		"/validate-elbv2-k8s-aws-v1beta1-ingressclassparams": func(_ context.Context, request admission.Request) admission.Response {
			var asked struct {
				Spec struct{ InboundCIDRs []string }
			}
			if err := json.Unmarshal(request.Object.Raw, &asked); err != nil {
				return admission.Errored(http.StatusBadRequest, err)
			}
			for index, text := range asked.Spec.InboundCIDRs {
				if cidr, err := netip.ParsePrefix(text); err != nil || cidr.Masked() != cidr {
					return admission.Denied(fmt.Sprintf("spec.inboundCIDRs[%d]: %s is no range of addresses", index, text))
				}
			}
			return admission.Allowed("")
		},
	}
	for path, check := range checks {
		server.Register(path, &webhook.Admission{Handler: check})
	}
}
