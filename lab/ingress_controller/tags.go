package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Tags of all that is made here, as the real one has them: the cluster, the Ingress, and what of it.
const (
	tagCluster  = "elbv2.k8s.aws/cluster"
	tagStack    = "ingress.k8s.aws/stack"
	tagResource = "ingress.k8s.aws/resource"
)

// Tags that a flag gives as key=value,key=value.
type Tags map[string]string

// String is the flag's value.
func (t Tags) String() string {
	var made []string
	for _, key := range slices.Sorted(maps.Keys(t)) {
		made = append(made, key+"="+t[key])
	}
	return strings.Join(made, ",")
}

// Set reads the flag. It refuses, as the real one does, the tags by which this controller knows its own.
func (t Tags) Set(text string) error {
	for _, pair := range strings.Split(text, ",") {
		key, value, is := strings.Cut(pair, "=")
		if !is || key == "" {
			return fmt.Errorf("%q is not key=value", pair)
		}
		if slices.Contains([]string{tagCluster, tagStack, tagResource}, key) {
			return fmt.Errorf("%s is the controller's own", key)
		}
		t[key] = value
	}
	return nil
}

// tags of what is made for an Ingress. What is there already keeps those that it was made with, other than with the
// real one.
func (b *Balancers) tags(stack, resource string) []elbtypes.Tag {
	made := []elbtypes.Tag{
		{Key: aws.String(tagCluster), Value: &b.cluster},
		{Key: aws.String(tagStack), Value: &stack},
		{Key: aws.String(tagResource), Value: &resource},
	}
	for _, key := range slices.Sorted(maps.Keys(b.defaults)) {
		made = append(made, elbtypes.Tag{Key: &key, Value: aws.String(b.defaults[key])})
	}
	return made
}
