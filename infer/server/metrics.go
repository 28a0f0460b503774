package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
)

// metrics are what GET /metrics shows. No label holds what a client made up, so their number is bounded.
type metrics struct {
	page       http.Handler
	requests   *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	firstToken prometheus.Histogram
	panics     prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wf_http_requests_total", Help: "Requests answered, by route, status and model."}, []string{"route", "status", "model"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wf_http_request_seconds", Help: "From header to last byte, by route.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"route"}),
		firstToken: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wf_first_token_seconds", Help: "From a streamed request to its first tokens.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "wf_http_panics_total", Help: "Panics in handlers, contained. Each is a bug."}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.seconds, m.firstToken, m.panics, engineCollector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 8})
	return m
}

func (m *metrics) observe(x *exchange, took time.Duration) {
	m.requests.WithLabelValues(x.route, strconv.Itoa(x.status), x.model).Inc()
	m.seconds.WithLabelValues(x.route).Observe(took.Seconds())
}

// serve is GET /metrics.
func (m *metrics) serve(x *exchange) error {
	m.page.ServeHTTP(x, x.Request)
	return nil
}

// engineCollector turns engine.Metrics into Prometheus' at every scrape.
type engineCollector struct{ *Server }

var (
	modelLabel  = []string{"model"}
	kindLabels  = []string{"model", "kind"}
	queuedDesc  = prometheus.NewDesc("wf_requests_queued", "Requests that wait for a place.", modelLabel, nil)
	waitingDesc = prometheus.NewDesc("wf_queued_prompt_tokens", "Prompt tokens of requests that wait.", modelLabel, nil)
	runningDesc = prometheus.NewDesc("wf_answers_running", "Answers that run.", modelLabel, nil)
	cacheDesc   = prometheus.NewDesc("wf_cache_bytes", "Reserved for keys and values of running answers.", modelLabel, nil)
	prefixDesc  = prometheus.NewDesc("wf_prefix_cache_bytes", "Keys and values kept for later requests.", modelLabel, nil)
	readyDesc   = prometheus.NewDesc("wf_ready", "1 if requests would be answered now.", nil, nil)
	endedDesc   = prometheus.NewDesc("wf_requests_total", "Requests that ended, by outcome.", []string{"model", "outcome"}, nil)
	queueDesc   = prometheus.NewDesc("wf_queue_seconds", "Time that requests waited.", modelLabel, nil)
	requestDesc = prometheus.NewDesc("wf_request_seconds", "Time of completed requests in the engine.", modelLabel, nil)
	passDesc    = prometheus.NewDesc("wf_pass_seconds", "Time of a pass.", modelLabel, nil)
	widthDesc   = prometheus.NewDesc("wf_pass_answers", "Answers that share a pass.", modelLabel, nil)
	promptDesc  = prometheus.NewDesc("wf_prompt_tokens_total", "Prompt tokens of answers.", modelLabel, nil)
	cachedDesc  = prometheus.NewDesc("wf_prompt_tokens_cached_total", "Those that needed no pass.", modelLabel, nil)
	hitDesc     = prometheus.NewDesc("wf_prefix_cache_hits_total", "Answers that began with tokens that were kept.", modelLabel, nil)
	missDesc    = prometheus.NewDesc("wf_prefix_cache_misses_total", "Answers that did not.", modelLabel, nil)
	evictDesc   = prometheus.NewDesc("wf_prefix_cache_evictions_total", "Pages dropped for lack of room.", modelLabel, nil)
	tokensDesc  = prometheus.NewDesc("wf_new_tokens_total", "Tokens of answers.", modelLabel, nil)
	stepsDesc   = prometheus.NewDesc("wf_denoise_steps_total", "Denoise steps; new tokens over them is tokens per step.", modelLabel, nil)
	segmentDesc = prometheus.NewDesc("wf_segments_total", "Parts of passes, by what they were for.", kindLabels, nil)
	rowsDesc    = prometheus.NewDesc("wf_rows_total", "Rows of passes, by what they were for.", kindLabels, nil)
	numericDesc = prometheus.NewDesc("wf_numeric_errors_total", "Requests that ended in NaN or infinity.", modelLabel, nil)
	panicsDesc  = prometheus.NewDesc("wf_engine_panics_total", "Panics in the engine, contained. Each is a bug.", modelLabel, nil)
)

// Describe sends none: the collector is unchecked, since there is nothing to describe before a model is loaded.
func (engineCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the engine says of itself.
func (c engineCollector) Collect(out chan<- prometheus.Metric) {
	ready := 0.0
	if c.trouble() == nil {
		ready = 1
	}
	out <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
	model := c.model.Load()
	if model == nil {
		return
	}
	m := model.Engine.Metrics()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, more ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, value, append([]string{model.Name}, more...)...)
	}
	gauge := func(desc *prometheus.Desc, value float64) { send(desc, prometheus.GaugeValue, value) }
	counter := func(desc *prometheus.Desc, value uint64, more ...string) {
		send(desc, prometheus.CounterValue, float64(value), more...)
	}
	gauge(queuedDesc, float64(m.Queued))
	gauge(waitingDesc, float64(m.QueuedTokens))
	gauge(runningDesc, float64(m.Running))
	gauge(cacheDesc, float64(m.CacheBytes))
	gauge(prefixDesc, float64(m.PrefixBytes))
	counter(promptDesc, m.PromptTokens)
	counter(cachedDesc, m.PrefixTokens)
	counter(hitDesc, m.PrefixHits)
	counter(missDesc, m.PrefixMisses)
	counter(evictDesc, m.PrefixEvictions)
	counter(tokensDesc, m.NewTokens)
	counter(stepsDesc, m.DenoiseSteps)
	counter(numericDesc, m.NumericErrors)
	counter(panicsDesc, m.Panics)
	for outcome, n := range m.Outcomes {
		counter(endedDesc, n, outcome)
	}
	for kind := range diffusion.Kinds {
		counter(segmentDesc, m.Segments[kind], kind.String())
		counter(rowsDesc, m.Rows[kind], kind.String())
	}
	for _, h := range []struct {
		desc *prometheus.Desc
		of   engine.Histogram
	}{{queueDesc, m.QueueSeconds}, {requestDesc, m.RequestSeconds}, {passDesc, m.PassSeconds}, {widthDesc, m.PassWidth}} {
		count, buckets := uint64(0), map[float64]uint64{}
		for i, n := range h.of.Counts {
			if count += n; i < len(h.of.Bounds) {
				buckets[h.of.Bounds[i]] = count
			}
		}
		out <- prometheus.MustNewConstHistogram(h.desc, count, h.of.Sum, buckets, model.Name)
	}
}
