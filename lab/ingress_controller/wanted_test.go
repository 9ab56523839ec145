package main

import (
	"reflect"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// asked is an Ingress for a port of the Service web, which has the port 80 without a name.
func asked(port networking.ServiceBackendPort, annotations map[string]string) (*Wanted, error) {
	service := &core.Service{Spec: core.ServiceSpec{Ports: []core.ServicePort{{Port: 80, NodePort: 30080}}}}
	backend := networking.IngressBackend{Service: &networking.IngressServiceBackend{Name: "web", Port: port}}
	ingress := &networking.Ingress{
		ObjectMeta: meta.ObjectMeta{Namespace: "n", Name: "i", Annotations: annotations},
		Spec: networking.IngressSpec{Rules: []networking.IngressRule{{IngressRuleValue: networking.IngressRuleValue{
			HTTP: &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{Path: "/", Backend: backend}}},
		}}}},
	}
	class := &Class{"internal", []string{"192.0.2.0/24", "198.51.100.0/24"}}
	return build("c", ingress, class, map[string]*core.Service{"web": service}, nil)
}

func TestABackendsPortIsOneOfItsService(t *testing.T) {
	made, err := asked(networking.ServiceBackendPort{Number: 80}, nil)
	if err != nil || made.groups[0].port != 30080 {
		t.Fatal(made, err)
	}
	for _, port := range []networking.ServiceBackendPort{{Number: 81}, {Name: "http"}, {}} {
		if _, err := asked(port, nil); err == nil || !strings.Contains(err.Error(), "it has no port") {
			t.Errorf("%v: %v", port, err)
		}
	}
}

func TestAnnotationsOfOthersSayNothing(t *testing.T) {
	port := networking.ServiceBackendPort{Number: 80}
	for _, key := range []string{"listen-ports", "nginx.ingress.kubernetes.io/listen-ports"} {
		made, err := asked(port, map[string]string{key: `[{"HTTP": 8080}]`})
		if err != nil || made.listeners[0].port != 80 {
			t.Errorf("%s: %v %v", key, made, err)
		}
	}
	made, err := asked(port, map[string]string{prefix + "listen-ports": `[{"HTTP": 8080}]`})
	if err != nil || made.listeners[0].port != 8080 {
		t.Error(made, err)
	}
	if _, err := asked(port, map[string]string{prefix + "shield": "x"}); err == nil || !strings.Contains(err.Error(), "shield") {
		t.Error(err)
	}
}

func TestTheGroupIsOpenForWhatIsWantedAlone(t *testing.T) {
	made, err := asked(networking.ServiceBackendPort{Number: 80}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wanted := made.openings()
	kept, fresh := Opening{"tcp", 80, 80, "192.0.2.0/24"}, Opening{"tcp", 80, 80, "198.51.100.0/24"}
	if !reflect.DeepEqual(wanted, []Opening{kept, fresh}) {
		t.Fatal(wanted)
	}
	other := Opening{"tcp", 443, 443, "192.0.2.0/24"}
	there := openings(permissions([]Opening{other, kept}))
	if more := without(wanted, there); !reflect.DeepEqual(more, []Opening{fresh}) {
		t.Error(more)
	}
	if gone := without(there, wanted); !reflect.DeepEqual(gone, []Opening{other}) {
		t.Error(gone)
	}
	if permissions(nil) != nil {
		t.Error("a request without rules is an error")
	}
}
