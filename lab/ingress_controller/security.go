package main

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Opening lets one range of addresses in.
type Opening struct {
	protocol string
	from, to int32
	cidr     string
}

// security is the load balancer's group: who may reach its listeners, and nobody else.
func (b *Balancers) security(ctx context.Context, wanted *Wanted) (string, error) {
	found, err := b.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: b.filters(wanted.stack)})
	if err != nil {
		return "", err
	}
	for _, each := range found.SecurityGroups {
		return *each.GroupId, b.open(ctx, each.GroupId, openings(each.IpPermissions), wanted.openings())
	}
	specification := ec2types.TagSpecification{ResourceType: ec2types.ResourceTypeSecurityGroup}
	for _, tag := range b.tags(wanted.stack, "ManagedLBSecurityGroup") {
		specification.Tags = append(specification.Tags, ec2types.Tag{Key: tag.Key, Value: tag.Value})
	}
	made, err := b.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: &wanted.name, Description: aws.String("[k8s] Managed SecurityGroup for LoadBalancer"), VpcId: &b.vpc,
		TagSpecifications: []ec2types.TagSpecification{specification},
	})
	if err != nil {
		return "", err
	}
	return *made.GroupId, b.open(ctx, made.GroupId, nil, wanted.openings())
}

// open makes a group's rules those that are wanted: what is new first, as connections go on.
func (b *Balancers) open(ctx context.Context, group *string, there, wanted []Opening) error {
	if more := permissions(without(wanted, there)); more != nil {
		if _, err := b.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: group, IpPermissions: more,
		}); err != nil {
			return err
		}
	}
	if gone := permissions(without(there, wanted)); gone != nil {
		if _, err := b.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{
			GroupId: group, IpPermissions: gone,
		}); err != nil {
			return err
		}
	}
	return nil
}

// openings that an Ingress asks for: each range, to each listener.
func (w *Wanted) openings() []Opening {
	var made []Opening
	for _, listener := range w.listeners {
		for _, cidr := range w.cidrs {
			made = append(made, Opening{"tcp", listener.port, listener.port, cidr})
		}
	}
	return made
}

// openings that a group has, to ranges of IPv4: this controller makes no others.
func openings(of []ec2types.IpPermission) []Opening {
	var made []Opening
	for _, each := range of {
		for _, where := range each.IpRanges {
			made = append(made, Opening{
				aws.ToString(each.IpProtocol), aws.ToInt32(each.FromPort), aws.ToInt32(each.ToPort), aws.ToString(where.CidrIp),
			})
		}
	}
	return made
}

// permissions as the API has them.
func permissions(of []Opening) []ec2types.IpPermission {
	var made []ec2types.IpPermission
	for _, each := range of {
		made = append(made, ec2types.IpPermission{
			IpProtocol: &each.protocol, FromPort: &each.from, ToPort: &each.to,
			IpRanges: []ec2types.IpRange{{CidrIp: &each.cidr}},
		})
	}
	return made
}

// without is what is in one list and not in the other.
func without(all, some []Opening) []Opening {
	return slices.DeleteFunc(slices.Clone(all), func(each Opening) bool { return slices.Contains(some, each) })
}
