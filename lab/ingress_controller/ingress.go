package main

import (
	"context"
	"reflect"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const finalizer = "ingress.k8s.aws/resources"

// Controller brings load balancers to what Ingresses say.
type Controller struct {
	client.Client
	events    events.EventRecorder
	balancers *Balancers
}

func (c *Controller) watch(manager ctrl.Manager) error {
	all := handler.EnqueueRequestsFromMapFunc(c.all)
	moved := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(change event.UpdateEvent) bool {
		return instance(change.ObjectOld.(*core.Node)) != instance(change.ObjectNew.(*core.Node))
	}})
	params := &unstructured.Unstructured{}
	params.SetGroupVersionKind(parameters)
	return ctrl.NewControllerManagedBy(manager).
		Named("ingress").
		For(&networking.Ingress{}).
		Watches(&networking.IngressClass{}, all).
		Watches(params, all).
		Watches(&core.Service{}, all).
		Watches(&core.Node{}, all, moved).
		Complete(c)
}

// all Ingresses, be they ours or not: there are few.
func (c *Controller) all(ctx context.Context, _ client.Object) []reconcile.Request {
	var found networking.IngressList
	if err := c.List(ctx, &found); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing Ingresses")
	}
	var asked []reconcile.Request
	for _, each := range found.Items {
		asked = append(asked, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&each)})
	}
	return asked
}

// Reconcile makes, changes or removes what belongs to one Ingress.
func (c *Controller) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var ingress networking.Ingress
	if err := c.Get(ctx, request.NamespacedName, &ingress); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !ingress.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, c.remove(ctx, &ingress)
	}
	class, err := classOf(ctx, c.Client, &ingress)
	if err != nil { // its class is gone: what it has stays until one says otherwise
		return ctrl.Result{}, err
	}
	if class == nil {
		return ctrl.Result{}, c.remove(ctx, &ingress)
	}
	if controllerutil.AddFinalizer(&ingress, finalizer) {
		if err := c.Update(ctx, &ingress); err != nil {
			return ctrl.Result{}, err
		}
	}
	wanted, err := c.wanted(ctx, &ingress, class)
	if err != nil {
		c.events.Eventf(&ingress, nil, core.EventTypeWarning, "FailedBuildModel", "Build", "%v", err)
		return ctrl.Result{}, err
	}
	address, err := c.balancers.Ensure(ctx, wanted)
	if err != nil {
		c.events.Eventf(&ingress, nil, core.EventTypeWarning, "FailedDeployModel", "Deploy", "%v", err)
		return ctrl.Result{}, err
	}
	told := []networking.IngressLoadBalancerIngress{{Hostname: address}}
	if reflect.DeepEqual(ingress.Status.LoadBalancer.Ingress, told) {
		return ctrl.Result{}, nil
	}
	ingress.Status.LoadBalancer.Ingress = told
	if err := c.Status().Update(ctx, &ingress); err != nil {
		return ctrl.Result{}, err
	}
	c.events.Eventf(&ingress, nil, core.EventTypeNormal, "SuccessfullyReconciled", "Deploy", "%s", address)
	return ctrl.Result{}, nil
}

func (c *Controller) remove(ctx context.Context, ingress *networking.Ingress) error {
	if !controllerutil.ContainsFinalizer(ingress, finalizer) {
		return nil
	}
	if err := c.balancers.Remove(ctx, ingress.Namespace+"/"+ingress.Name); err != nil {
		c.events.Eventf(ingress, nil, core.EventTypeWarning, "FailedDeployModel", "Remove", "%v", err)
		return err
	}
	controllerutil.RemoveFinalizer(ingress, finalizer)
	return client.IgnoreNotFound(c.Update(ctx, ingress))
}

func (c *Controller) wanted(ctx context.Context, ingress *networking.Ingress, class *Class) (*Wanted, error) {
	var nodes core.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return nil, err
	}
	services := map[string]*core.Service{}
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service == nil {
				continue
			}
			var found core.Service
			key := types.NamespacedName{Namespace: ingress.Namespace, Name: path.Backend.Service.Name}
			if err := c.Get(ctx, key, &found); client.IgnoreNotFound(err) != nil {
				return nil, err
			} else if err == nil {
				services[key.Name] = &found
			}
		}
	}
	return build(c.balancers.cluster, ingress, class, services, nodes.Items)
}
