// Command ggufparser prints what gguf-parser-go reads of a GGUF file, as JSON. An array is its length.
package main

import (
	"encoding/json"
	"log"
	"os"

	parser "github.com/gpustack/gguf-parser-go"
)

type tensor struct {
	Name string   `json:"name"`
	Type uint32   `json:"type"`
	Dims []uint64 `json:"dims"`
}

func main() {
	f, err := parser.ParseGGUFFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	metadata, tensors := map[string]any{}, []tensor{}
	for _, kv := range f.Header.MetadataKV {
		metadata[kv.Key] = kv.Value
		if kv.ValueType == parser.GGUFMetadataValueTypeArray {
			metadata[kv.Key] = kv.ValueArray().Len
		}
	}
	for _, t := range f.TensorInfos {
		tensors = append(tensors, tensor{t.Name, uint32(t.Type), t.Dimensions})
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"metadata": metadata, "tensors": tensors}); err != nil {
		log.Fatal(err)
	}
}
