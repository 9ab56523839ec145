package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// listeners of a load balancer, with their rules. `groups` are the ARNs of target groups by their ids.
func (b *Balancers) listeners(ctx context.Context, wanted *Wanted, balancer string, groups map[string]string) error {
	there, err := b.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: &balancer})
	if err != nil {
		return err
	}
	by := map[int32]elbtypes.Listener{}
	for _, old := range there.Listeners {
		by[*old.Port] = old
		if !slices.ContainsFunc(wanted.listeners, func(each Listener) bool { return each.port == *old.Port }) {
			if _, err := b.elb.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: old.ListenerArn}); err != nil {
				return err
			}
		}
	}
	for _, each := range wanted.listeners {
		old, known := by[each.port]
		arn, err := aws.ToString(old.ListenerArn), error(nil)
		if !known {
			arn, err = b.listener(ctx, wanted, each, balancer)
		} else if !each.is(old) {
			_, err = b.elb.ModifyListener(ctx, &elb.ModifyListenerInput{
				ListenerArn: &arn, Protocol: each.protocol, Certificates: each.first(), DefaultActions: each.otherwise(),
			})
		}
		if err == nil {
			err = b.more(ctx, arn, each)
		}
		if err == nil {
			err = b.rules(ctx, wanted, each, arn, groups)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Balancers) listener(ctx context.Context, wanted *Wanted, each Listener, balancer string) (string, error) {
	made, err := b.elb.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &balancer, Protocol: each.protocol, Port: &each.port, Certificates: each.first(),
		DefaultActions: each.otherwise(), Tags: b.tags(wanted.stack, fmt.Sprint(each.port)),
	})
	if err != nil {
		return "", err
	}
	return *made.Listeners[0].ListenerArn, nil
}

// is tells whether a listener is as wanted, rules aside.
func (l Listener) is(old elbtypes.Listener) bool {
	first := ""
	if len(old.Certificates) > 0 {
		first = aws.ToString(old.Certificates[0].CertificateArn)
	}
	want := ""
	if len(l.certificates) > 0 {
		want = l.certificates[0]
	}
	return old.Protocol == l.protocol && first == want && len(old.DefaultActions) == 1 &&
		old.DefaultActions[0].Type == l.otherwise()[0].Type &&
		(l.redirect == "" || aws.ToString(old.DefaultActions[0].RedirectConfig.Port) == l.redirect)
}

// first is the certificate that a listener has by itself.
func (l Listener) first() []elbtypes.Certificate {
	if len(l.certificates) == 0 {
		return nil
	}
	return []elbtypes.Certificate{{CertificateArn: &l.certificates[0]}}
}

// more certificates than the first, for other names.
func (b *Balancers) more(ctx context.Context, listener string, each Listener) error {
	if len(each.certificates) < 2 {
		return nil
	}
	there, err := b.elb.DescribeListenerCertificates(ctx, &elb.DescribeListenerCertificatesInput{ListenerArn: &listener})
	if err != nil {
		return err
	}
	for _, arn := range each.certificates[1:] {
		if !slices.ContainsFunc(there.Certificates, func(old elbtypes.Certificate) bool { return *old.CertificateArn == arn }) {
			if _, err := b.elb.AddListenerCertificates(ctx, &elb.AddListenerCertificatesInput{
				ListenerArn: &listener, Certificates: []elbtypes.Certificate{{CertificateArn: &arn}},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// rules of a listener: those that are as wanted stay, by their priority.
func (b *Balancers) rules(ctx context.Context, wanted *Wanted, each Listener, listener string, groups map[string]string) error {
	there, err := b.elb.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &listener})
	if err != nil {
		return err
	}
	old := map[string]elbtypes.Rule{}
	for _, rule := range there.Rules {
		if !aws.ToBool(rule.IsDefault) {
			old[*rule.Priority] = rule
		}
	}
	for index, rule := range each.rules {
		priority, arn := int32(index+1), groups[rule.group]
		forward := []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: &arn}}
		is, known := old[strconv.Itoa(index+1)]
		delete(old, strconv.Itoa(index+1))
		switch {
		case !known:
			_, err = b.elb.CreateRule(ctx, &elb.CreateRuleInput{
				ListenerArn: &listener, Priority: &priority, Conditions: rule.conditions(), Actions: forward,
				Tags: b.tags(wanted.stack, fmt.Sprintf("%d:%d", each.port, priority)),
			})
		case !rule.is(is, arn):
			_, err = b.elb.ModifyRule(ctx, &elb.ModifyRuleInput{
				RuleArn: is.RuleArn, Conditions: rule.conditions(), Actions: forward,
			})
		}
		if err != nil {
			return err
		}
	}
	for _, rule := range old {
		if _, err := b.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: rule.RuleArn}); err != nil {
			return err
		}
	}
	return nil
}

func (r Rule) is(old elbtypes.Rule, group string) bool {
	var hosts, paths []string
	for _, each := range old.Conditions {
		switch {
		case each.HostHeaderConfig != nil:
			hosts = each.HostHeaderConfig.Values
		case each.PathPatternConfig != nil:
			paths = each.PathPatternConfig.Values
		}
	}
	return reflect.DeepEqual(hosts, r.hosts) && reflect.DeepEqual(paths, r.paths) &&
		len(old.Actions) == 1 && aws.ToString(old.Actions[0].TargetGroupArn) == group
}
