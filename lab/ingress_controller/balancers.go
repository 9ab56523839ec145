package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Balancers are the load balancers of one cluster. All that is known of them is in their tags.
type Balancers struct {
	elb      *elb.Client
	ec2      *ec2.Client
	cluster  string
	vpc      string
	defaults Tags
}

// Ensure brings one Ingress' load balancer, and what belongs to it, to what is wanted. It returns its DNS name.
func (b *Balancers) Ensure(ctx context.Context, wanted *Wanted) (string, error) {
	old, err := b.groups(ctx, wanted.stack)
	if err != nil {
		return "", err
	}
	arns := map[string]string{}
	for _, group := range wanted.groups {
		if arns[group.id], err = b.group(ctx, wanted, group); err != nil {
			return "", err
		}
	}
	security, err := b.security(ctx, wanted)
	if err != nil {
		return "", err
	}
	made, err := b.balancer(ctx, wanted, security)
	if err != nil {
		return "", err
	}
	if err := b.listeners(ctx, wanted, *made.LoadBalancerArn, arns); err != nil {
		return "", err
	}
	for _, arn := range old { // those that no rule leads to any more
		if !slices.Contains(slices.Collect(maps.Values(arns)), arn) {
			if _, err := b.elb.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &arn}); err != nil {
				return "", err
			}
		}
	}
	return *made.DNSName, nil
}

// Remove ends all that was made for an Ingress.
func (b *Balancers) Remove(ctx context.Context, stack string) error {
	balancers, err := b.balancers(ctx, stack)
	if err != nil {
		return err
	}
	for _, each := range balancers {
		if _, err := b.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: each.LoadBalancerArn}); err != nil {
			return err
		}
	}
	groups, err := b.groups(ctx, stack)
	if err != nil {
		return err
	}
	for _, arn := range groups {
		if _, err := b.elb.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &arn}); err != nil {
			return err
		}
	}
	found, err := b.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: b.filters(stack)})
	if err != nil {
		return err
	}
	for _, each := range found.SecurityGroups {
		if _, err := b.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: each.GroupId}); err != nil {
			return err
		}
	}
	return nil
}

func (b *Balancers) balancer(ctx context.Context, wanted *Wanted, security string) (*elbtypes.LoadBalancer, error) {
	there, err := b.balancers(ctx, wanted.stack)
	if err != nil {
		return nil, err
	}
	for _, each := range there {
		if *each.LoadBalancerName == wanted.name {
			return &each, nil
		}
		// Its scheme is another: what its name is made of.
		if _, err := b.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: each.LoadBalancerArn}); err != nil {
			return nil, err
		}
	}
	subnets, err := b.subnets(ctx, wanted.scheme)
	if err != nil {
		return nil, err
	}
	made, err := b.elb.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: &wanted.name, Type: elbtypes.LoadBalancerTypeEnumApplication, Scheme: wanted.scheme,
		IpAddressType: elbtypes.IpAddressTypeIpv4, Subnets: subnets, SecurityGroups: []string{security},
		Tags: b.tags(wanted.stack, "LoadBalancer"),
	})
	if err != nil {
		return nil, err
	}
	return &made.LoadBalancers[0], nil
}

// subnets, one in each zone, by the tag that says what they are for.
func (b *Balancers) subnets(ctx context.Context, scheme elbtypes.LoadBalancerSchemeEnum) ([]string, error) {
	role := "kubernetes.io/role/internal-elb"
	if scheme == elbtypes.LoadBalancerSchemeEnumInternetFacing {
		role = "kubernetes.io/role/elb"
	}
	found, err := b.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{b.vpc}},
		{Name: aws.String("tag:" + role), Values: []string{"", "1"}},
	}})
	if err != nil {
		return nil, err
	}
	zones := map[string]string{}
	for _, each := range found.Subnets {
		if other, taken := zones[*each.AvailabilityZone]; !taken || *each.SubnetId < other {
			zones[*each.AvailabilityZone] = *each.SubnetId
		}
	}
	if len(zones) < 2 {
		return nil, fmt.Errorf("VPC %s: subnets with the tag %s in two zones are needed, they are in %d", b.vpc, role, len(zones))
	}
	return slices.Sorted(maps.Values(zones)), nil
}

func (b *Balancers) group(ctx context.Context, wanted *Wanted, group Group) (string, error) {
	there, err := b.groups(ctx, wanted.stack)
	if err != nil {
		return "", err
	}
	arn := there[group.name]
	if arn == "" {
		made, err := b.elb.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
			Name: &group.name, Protocol: elbtypes.ProtocolEnumHttp, ProtocolVersion: aws.String("HTTP1"), Port: &group.port,
			VpcId: &b.vpc, TargetType: elbtypes.TargetTypeEnumInstance, IpAddressType: elbtypes.TargetGroupIpAddressTypeEnumIpv4,
			HealthCheckProtocol: elbtypes.ProtocolEnumHttp, HealthCheckPort: aws.String("traffic-port"),
			HealthCheckPath: &group.health, Tags: b.tags(wanted.stack, group.id),
		})
		if err != nil {
			return "", err
		}
		arn = *made.TargetGroups[0].TargetGroupArn
	} else if _, err := b.elb.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{
		TargetGroupArn: &arn, HealthCheckPath: &group.health,
	}); err != nil {
		return "", err
	}
	return arn, b.register(ctx, arn, group.port, wanted.machines)
}

// register makes exactly these machines a group's targets.
func (b *Balancers) register(ctx context.Context, arn string, port int32, machines []string) error {
	found, err := b.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	if err != nil {
		return err
	}
	var there []string
	var gone, more []elbtypes.TargetDescription
	for _, each := range found.TargetHealthDescriptions {
		there = append(there, *each.Target.Id)
		if !slices.Contains(machines, *each.Target.Id) {
			gone = append(gone, *each.Target)
		}
	}
	for _, id := range machines {
		if !slices.Contains(there, id) {
			more = append(more, elbtypes.TargetDescription{Id: &id, Port: &port})
		}
	}
	if more != nil {
		if _, err := b.elb.RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: &arn, Targets: more}); err != nil {
			return err
		}
	}
	if gone != nil {
		_, err = b.elb.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: &arn, Targets: gone})
	}
	return err
}

// balancers of one Ingress.
func (b *Balancers) balancers(ctx context.Context, stack string) ([]elbtypes.LoadBalancer, error) {
	found := map[string]elbtypes.LoadBalancer{}
	pages := elb.NewDescribeLoadBalancersPaginator(b.elb, &elb.DescribeLoadBalancersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, each := range page.LoadBalancers {
			if *each.VpcId == b.vpc { // elsewhere, a cluster may have the same name
				found[*each.LoadBalancerArn] = each
			}
		}
	}
	arns, err := b.ours(ctx, stack, slices.Sorted(maps.Keys(found)))
	var made []elbtypes.LoadBalancer
	for _, arn := range arns {
		made = append(made, found[arn])
	}
	return made, err
}

// groups of one Ingress, ARN by name.
func (b *Balancers) groups(ctx context.Context, stack string) (map[string]string, error) {
	found := map[string]string{}
	pages := elb.NewDescribeTargetGroupsPaginator(b.elb, &elb.DescribeTargetGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, each := range page.TargetGroups {
			if *each.VpcId == b.vpc {
				found[*each.TargetGroupArn] = *each.TargetGroupName
			}
		}
	}
	arns, err := b.ours(ctx, stack, slices.Sorted(maps.Keys(found)))
	made := map[string]string{}
	for _, arn := range arns {
		made[found[arn]] = arn
	}
	return made, err
}

// ours are those of the ARNs that have the tags of this cluster and Ingress.
func (b *Balancers) ours(ctx context.Context, stack string, arns []string) ([]string, error) {
	var made []string
	for some := range slices.Chunk(arns, 20) { // as many as one request takes
		found, err := b.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, err
		}
		for _, each := range found.TagDescriptions {
			has := map[string]string{}
			for _, tag := range each.Tags {
				has[*tag.Key] = aws.ToString(tag.Value)
			}
			if has[tagCluster] == b.cluster && has[tagStack] == stack {
				made = append(made, *each.ResourceArn)
			}
		}
	}
	return made, nil
}

func (b *Balancers) filters(stack string) []ec2types.Filter {
	return []ec2types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{b.vpc}},
		{Name: aws.String("tag:" + tagCluster), Values: []string{b.cluster}},
		{Name: aws.String("tag:" + tagStack), Values: []string{stack}},
	}
}
