package checkpoint

// global is a name that a pickle may mention. It stands for itself: nothing is looked up, imported or called.
type global struct {
	kind  kind
	dtype DType // of a storageClass or an elementType
}

// kind says what a global is good for.
type kind uint8

const (
	inert            kind = iota // whatever it makes is opaque
	storageClass                 // names the element type in a persistent id
	untypedStorage               // the same for raw bytes
	elementType                  // an argument of rebuildTensor3
	rebuildTensor                // storage, offset, size, stride, requires_grad, hooks[, metadata]
	rebuildTensor3               // storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]
	rebuildParameter             // tensor, requires_grad, hooks[, state]: the tensor
	rebuildType                  // func, type, args, state: func(args)
	mapping                      // an empty map
)

// globals is everything that a pickle may mention, as "module name". Protocol 2 writes builtins as __builtin__.
var globals = map[string]*global{
	"torch DoubleStorage":          {storageClass, F64},
	"torch FloatStorage":           {storageClass, F32},
	"torch HalfStorage":            {storageClass, F16},
	"torch BFloat16Storage":        {storageClass, BF16},
	"torch LongStorage":            {storageClass, I64},
	"torch IntStorage":             {storageClass, I32},
	"torch ShortStorage":           {storageClass, I16},
	"torch CharStorage":            {storageClass, I8},
	"torch ByteStorage":            {storageClass, U8},
	"torch BoolStorage":            {storageClass, Bool},
	"torch.storage UntypedStorage": {kind: untypedStorage},

	"torch float64":  {elementType, F64},
	"torch float32":  {elementType, F32},
	"torch float16":  {elementType, F16},
	"torch bfloat16": {elementType, BF16},
	"torch int64":    {elementType, I64},
	"torch int32":    {elementType, I32},
	"torch int16":    {elementType, I16},
	"torch int8":     {elementType, I8},
	"torch uint64":   {elementType, U64},
	"torch uint32":   {elementType, U32},
	"torch uint16":   {elementType, U16},
	"torch uint8":    {elementType, U8},
	"torch bool":     {elementType, Bool},

	"torch._utils _rebuild_tensor_v2":            {kind: rebuildTensor},
	"torch._utils _rebuild_tensor_v3":            {kind: rebuildTensor3},
	"torch._utils _rebuild_parameter":            {kind: rebuildParameter},
	"torch._utils _rebuild_parameter_with_state": {kind: rebuildParameter},
	"torch._tensor _rebuild_from_type_v2":        {kind: rebuildType},

	"collections OrderedDict": {kind: mapping},
	"collections defaultdict": {kind: mapping},

	// Metadata and random-generator states.
	"torch Size":                          {},
	"torch device":                        {},
	"torch Tensor":                        {}, // the type of rebuildType
	"torch.nn.parameter Parameter":        {},
	"_codecs encode":                      {},
	"builtins set":                        {},
	"builtins bytearray":                  {},
	"builtins complex":                    {},
	"__builtin__ set":                     {},
	"__builtin__ bytearray":               {},
	"__builtin__ complex":                 {},
	"numpy.core.multiarray _reconstruct":  {},
	"numpy.core.multiarray scalar":        {},
	"numpy._core.multiarray _reconstruct": {},
	"numpy._core.multiarray scalar":       {},
	"numpy ndarray":                       {},
	"numpy dtype":                         {},
}
