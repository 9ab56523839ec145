package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

const prefix = "alb.ingress.kubernetes.io/"

// Annotations that are known here, of those at
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/v2.17/guide/ingress/annotations/
var known = []string{"scheme", "target-type", "healthcheck-path", "listen-ports", "certificate-arn", "ssl-redirect"}

// Group is a target group: the machines, on a port that each has for one Service.
type Group struct {
	id     string // in its tag
	name   string
	port   int32
	health string // path
}

// Rule leads to the group with the id. Its place in a list is its priority.
type Rule struct {
	hosts []string
	paths []string
	group string
}

// Listener redirects to HTTPS on a port, or goes by rules.
type Listener struct {
	protocol     elbtypes.ProtocolEnum
	port         int32
	certificates []string
	redirect     string
	rules        []Rule
}

// Wanted is what an Ingress asks for.
type Wanted struct {
	stack     string // in tags: its namespace and name
	name      string
	scheme    elbtypes.LoadBalancerSchemeEnum
	groups    []Group
	listeners []Listener
	machines  []string // ids of instances
	cidrs     []string // who may reach it
}

// build makes it of the Ingress and what it leads to. The error is for the person who wrote the Ingress.
func build(cluster string, ingress *networking.Ingress, class *Class, services map[string]*core.Service,
	nodes []core.Node) (*Wanted, error) {
	told := map[string]string{}
	for key, value := range ingress.Annotations {
		name, ours := strings.CutPrefix(key, prefix)
		if !ours {
			continue
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("annotation %s is not known to the lab's controller", key)
		}
		told[name] = value
	}
	if kind := told["target-type"]; kind != "" && kind != "instance" {
		return nil, fmt.Errorf("target-type %s is not known to the lab's controller, instance is", kind)
	}
	if ingress.Spec.DefaultBackend != nil || len(ingress.Spec.TLS) > 0 {
		return nil, fmt.Errorf("defaultBackend and tls are not known to the lab's controller")
	}
	stack := ingress.Namespace + "/" + ingress.Name
	scheme := cmp.Or(class.scheme, told["scheme"], "internal") // in this order, as the real one has it
	wanted := &Wanted{stack: stack, scheme: elbtypes.LoadBalancerSchemeEnum(scheme), cidrs: class.cidrs}
	wanted.name = named(ingress.Namespace, ingress.Name, cluster, stack, scheme)
	rules, err := wanted.rules(cluster, ingress, services, told["healthcheck-path"])
	if err != nil {
		return nil, err
	}
	if wanted.listeners, err = listeners(told, rules); err != nil {
		return nil, err
	}
	for _, node := range nodes {
		if id := instance(&node); id != "" {
			wanted.machines = append(wanted.machines, id)
		}
	}
	return wanted, nil
}

func (w *Wanted) rules(cluster string, ingress *networking.Ingress, services map[string]*core.Service,
	health string) ([]Rule, error) {
	var made []Rule
	for _, each := range ingress.Spec.Rules {
		if each.HTTP == nil {
			continue
		}
		var hosts []string
		if each.Host != "" {
			hosts = []string{each.Host}
		}
		paths := slices.Clone(each.HTTP.Paths)
		slices.SortStableFunc(paths, func(a, b networking.HTTPIngressPath) int { return weight(b) - weight(a) })
		for _, path := range paths {
			group, err := grouped(cluster, ingress, path.Backend.Service, services)
			if err != nil {
				return nil, err
			}
			group.health = health
			if health == "" {
				group.health = "/"
			}
			if !slices.Contains(w.groups, group) {
				w.groups = append(w.groups, group)
			}
			made = append(made, Rule{hosts, patterns(path), group.id})
		}
	}
	return made, nil
}

// weight orders the paths of a host: an exact one first, then the longest.
func weight(path networking.HTTPIngressPath) int {
	if path.PathType != nil && *path.PathType == networking.PathTypeExact {
		return 1 << 16
	}
	return len(path.Path)
}

// patterns of a load balancer that match what a path of an Ingress does.
func patterns(path networking.HTTPIngressPath) []string {
	if path.PathType == nil || *path.PathType != networking.PathTypePrefix {
		return []string{path.Path}
	}
	base := strings.TrimSuffix(path.Path, "/")
	if base == "" {
		return []string{"/*"}
	}
	return []string{base, base + "/*"}
}

func grouped(cluster string, ingress *networking.Ingress, backend *networking.IngressServiceBackend,
	services map[string]*core.Service) (Group, error) {
	if backend == nil {
		return Group{}, fmt.Errorf("a backend that is no Service is not known to the lab's controller")
	}
	service := services[backend.Name]
	if service == nil {
		return Group{}, fmt.Errorf("Service %s/%s: there is none", ingress.Namespace, backend.Name)
	}
	for _, port := range service.Spec.Ports {
		if asked := backend.Port; asked.Name != "" && port.Name != asked.Name || asked.Name == "" && port.Port != asked.Number {
			continue
		}
		if port.NodePort == 0 {
			return Group{}, fmt.Errorf("Service %s/%s: its type must be NodePort or LoadBalancer for targets that are "+
				"instances", ingress.Namespace, backend.Name)
		}
		id := fmt.Sprintf("%s/%s-%s:%d", ingress.Namespace, ingress.Name, backend.Name, port.Port)
		name := named(ingress.Namespace, backend.Name, cluster, id, fmt.Sprint(port.NodePort))
		return Group{id: id, name: name, port: port.NodePort}, nil
	}
	return Group{}, fmt.Errorf("Service %s/%s: it has no port %s", ingress.Namespace, backend.Name, &backend.Port)
}

func listeners(told map[string]string, rules []Rule) ([]Listener, error) {
	var asked []map[elbtypes.ProtocolEnum]int32
	text := told["listen-ports"]
	if text == "" {
		text = `[{"HTTP": 80}]`
		if told["certificate-arn"] != "" {
			text = `[{"HTTPS": 443}]`
		}
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return nil, fmt.Errorf("listen-ports %s: not as [{\"HTTP\": 80}]", text)
	}
	var made []Listener
	for _, one := range asked {
		for protocol, port := range one {
			switch {
			case protocol == elbtypes.ProtocolEnumHttps && told["certificate-arn"] == "":
				return nil, fmt.Errorf("listen-ports %s: HTTPS needs certificate-arn", text)
			case protocol == elbtypes.ProtocolEnumHttps:
				arns := strings.Split(told["certificate-arn"], ",")
				made = append(made, Listener{protocol, port, arns, "", rules})
			case protocol == elbtypes.ProtocolEnumHttp && told["ssl-redirect"] != "":
				made = append(made, Listener{protocol, port, nil, told["ssl-redirect"], nil})
			case protocol == elbtypes.ProtocolEnumHttp:
				made = append(made, Listener{protocol, port, nil, "", rules})
			default:
				return nil, fmt.Errorf("listen-ports %s: %s is neither HTTP nor HTTPS", text, protocol)
			}
		}
	}
	return made, nil
}

// instance is the id of a node's, "" where a load balancer shall not use the node.
func instance(node *core.Node) string {
	if _, excluded := node.Labels[core.LabelNodeExcludeBalancers]; excluded || !ready(node) {
		return ""
	}
	return node.Spec.ProviderID[strings.LastIndex(node.Spec.ProviderID, "/")+1:]
}

func ready(node *core.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(each core.NodeCondition) bool {
		return each.Type == core.NodeReady && each.Status == core.ConditionTrue
	})
}

var unfit = regexp.MustCompile("[^A-Za-z0-9]")

// named is a name of at most 32 characters, as ELB takes them: parts of two, and of a hash of all else.
func named(namespace, name string, parts ...string) string {
	short := func(of string) string { of = unfit.ReplaceAllString(of, ""); return of[:min(8, len(of))] }
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return fmt.Sprintf("k8s-%s-%s-%.10x", short(namespace), short(name), sum[:5])
}

// conditions and actions of a rule, as the API has them.
func (r Rule) conditions() []elbtypes.RuleCondition {
	made := []elbtypes.RuleCondition{{
		Field: aws.String("path-pattern"), PathPatternConfig: &elbtypes.PathPatternConditionConfig{Values: r.paths},
	}}
	if r.hosts != nil {
		made = append(made, elbtypes.RuleCondition{
			Field: aws.String("host-header"), HostHeaderConfig: &elbtypes.HostHeaderConditionConfig{Values: r.hosts},
		})
	}
	return made
}

// otherwise is what a listener does where no rule matches.
func (l Listener) otherwise() []elbtypes.Action {
	if l.redirect != "" {
		return []elbtypes.Action{{Type: elbtypes.ActionTypeEnumRedirect, RedirectConfig: &elbtypes.RedirectActionConfig{
			Protocol: aws.String("HTTPS"), Port: aws.String(l.redirect),
			StatusCode: elbtypes.RedirectActionStatusCodeEnumHttp301,
		}}}
	}
	return []elbtypes.Action{{
		Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{
			ContentType: aws.String("text/plain"), StatusCode: aws.String("404"),
		},
	}}
}
