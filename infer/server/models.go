package server

// modelCard is a model as OpenAI and llama.cpp list it.
type modelCard struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	OwnedBy string         `json:"owned_by"`
	Meta    map[string]any `json:"meta"`
}

func (m *Model) card() modelCard {
	return modelCard{m.Name, "model", m.Loaded.Unix(), "wf", map[string]any{
		"n_vocab": m.Config.Vocab, "n_ctx_train": m.Config.Context, "n_ctx": m.Engine.Context, "n_embd": m.Config.Hidden, "diffusion": m.Config.Diffusion != nil,
	}}
}

// models is GET /v1/models.
func (s *Server) models(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	return s.reply(x, map[string]any{"object": "list", "data": []modelCard{m.card()}})
}

// oneModel is GET /v1/models/{id}.
func (s *Server) oneModel(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	q := request{model: x.URL.Path[len("/v1/models/"):]}
	if err := q.named(x, m); err != nil {
		return err
	}
	return s.reply(x, m.card())
}

// props is GET /props: what llama.cpp's clients ask of a server, without any path.
func (s *Server) props(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	d := m.Defaults
	return s.reply(x, map[string]any{
		"model_alias": m.Name, "total_slots": m.Engine.Sequences, "build_info": "wf " + s.Version, "system_fingerprint": m.Fingerprint,
		"default_generation_settings": map[string]any{
			"n_ctx": m.Engine.Context, "n_predict": m.Engine.MaxTokens, "temperature": d.Temperature, "top_k": d.TopK, "min_p": d.MinP,
			"top_p": deref(d.TopP, 1),
		},
		"diffusion": m.Config.Diffusion,
	})
}

func deref(p *float32, otherwise float32) float32 {
	if p == nil {
		return otherwise
	}
	return *p
}

// slots is GET /slots: how many answers run, and nothing of what is in them.
func (s *Server) slots(x *exchange) error {
	m, err := s.ready(x)
	if err != nil {
		return err
	}
	type slot struct {
		ID           int  `json:"id"`
		Context      int  `json:"n_ctx"`
		IsProcessing bool `json:"is_processing"`
	}
	all := make([]slot, m.Engine.Sequences)
	running := m.Engine.Metrics().Running
	for i := range all {
		all[i] = slot{i, m.Engine.Context, i < running}
	}
	return s.reply(x, all)
}
