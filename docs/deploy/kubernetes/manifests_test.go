// Package kubernetes decodes the manifests strictly into the types that a cluster has. It is a module of its own, so that these types are no
// dependency of wf.
package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// decode reads the documents of a file into the objects of their kinds, and refuses what the types do not have.
func decode(t *testing.T, file string, kinds map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	all := make([]byte, len(text)+1)
	for seen := 0; ; seen++ {
		n, err := documents.Read(all)
		if errors.Is(err, io.EOF) {
			if seen != len(kinds) {
				t.Errorf("%s: %d documents, want %d", file, seen, len(kinds))
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := yaml.ToJSON(all[:n])
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ Kind string }
		if err := json.Unmarshal(asJSON, &head); err != nil {
			t.Fatal(err)
		}
		strict := json.NewDecoder(bytes.NewReader(asJSON))
		strict.DisallowUnknownFields()
		if into := kinds[head.Kind]; into == nil {
			t.Errorf("kind %q is not expected", head.Kind)
		} else if err := strict.Decode(into); err != nil {
			t.Errorf("%s: %v", head.Kind, err)
		}
	}
}

func TestManifests(t *testing.T) {
	deployment, service, scaler := &appsv1.Deployment{}, &corev1.Service{}, &autoscalingv2.HorizontalPodAutoscaler{}
	secret, monitor := &corev1.Secret{}, &monitoringv1.ServiceMonitor{}
	decode(t, "wf.yaml", map[string]any{"Secret": secret, "Deployment": deployment, "Service": service, "HorizontalPodAutoscaler": scaler})
	decode(t, "servicemonitor.yaml", map[string]any{"ServiceMonitor": monitor})
	pod := deployment.Spec.Template
	for label, value := range service.Spec.Selector {
		if pod.Labels[label] != value || deployment.Spec.Selector.MatchLabels[label] != value {
			t.Errorf("the Service selects %s=%s, which the pods are not", label, value)
		}
	}
	container := pod.Spec.Containers[0]
	for name, probe := range map[string]*corev1.Probe{"/readyz": container.ReadinessProbe, "/healthz": container.LivenessProbe} {
		if probe == nil || probe.HTTPGet.Path != name || probe.HTTPGet.Port.StrVal != container.Ports[0].Name {
			t.Errorf("there is no probe of %s", name)
		}
	}
	if s := container.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Error("the container may write, or is root")
	}
	if scaler.Spec.ScaleTargetRef.Name != deployment.Name || scaler.Spec.Metrics[0].Pods.Metric.Name != "wf_requests_queued" {
		t.Error("the autoscaler scales something else")
	}
	end := monitor.Spec.Endpoints[0]
	for label, value := range monitor.Spec.Selector.MatchLabels {
		if service.Labels[label] != value {
			t.Errorf("the ServiceMonitor selects %s=%s, which the Service is not", label, value)
		}
	}
	if key := end.Authorization; end.Port != service.Spec.Ports[0].Name || end.Path != "/metrics" || key == nil || key.Credentials.Name != secret.Name ||
		len(strings.Fields(secret.StringData[key.Credentials.Key])) != 1 || strings.ContainsAny(secret.StringData[key.Credentials.Key], " \n") {
		t.Error("the ServiceMonitor scrapes something else, or without a key that can stand in a header")
	}
}
