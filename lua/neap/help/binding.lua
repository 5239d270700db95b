-- binding: what functions and fields that are made in C, but are no rows of a table, say of themselves: their name as the
-- public knows it, how they are written, and a sentence. A test holds this list against what is there.

local texts = {}

local function text(name, arguments, doc)
  texts[#texts + 1] = {name = name, text = name .. arguments .. "\n" .. doc}
end

-- ---- making and exchanging tensors ----

text("neap.tensor", "(value, {dtype = 'float32', requires_grad = false})",
  "A tensor from a number, a boolean, nested tables of them (bool then), or a copy of a tensor.")
text("neap.from_string", "(bytes, dtype, shape)", "A tensor from its elements as raw bytes, row-major and little-endian.")
text("neap.is_tensor", "(value)", "Whether a value is a tensor.")

-- ---- memory ----

text("neap.scope", "()", [[
Frees what is made in a block at its end: local s <close> = neap.scope(). s:keep(x) lets x live on; s:close() ends it at once.]])
text("neap.keep", "(x, ...)", "Lets tensors, also those inside tables, outlive all scopes that are open. Returns its arguments.")
text("scope:keep", "(x, ...)", [[
Lets tensors, also those inside tables, outlive this scope: they belong to the one around it. Returns its arguments.]])
text("scope:close", "()", "Ends the scope at once: what was made in it is freed, but for what was kept.")
text("neap.memory", "({cap = bytes, reset_peak = true})", [[
Bytes of tensors: a table of live, peak, cached (free, to be used again), cap (0: none), requests (to the system) and limit
(of live bytes, past which garbage is collected). With options: sets the cap, or the peak back to live.]])
text("neap.trim", "()", "Gives cached memory back to the system.")
text("neap.collect", "(budget_us)", [[
Collects garbage, all of it or as much as fits into so many microseconds; true when a cycle has ended.]])

-- ---- gradients ----

text("neap.no_grad", "(f, ...)", [[
Calls f(...) without recording; without arguments a guard for a block: local _ <close> = neap.no_grad().]])
text("neap.enable_grad", "(f, ...)", "Calls f(...) with recording, also inside no_grad; without arguments a guard for a block.")
text("neap.set_grad_enabled", "(on)", "Recording for what follows, outside of all no_grad and enable_grad; returns what it was.")
text("neap.is_grad_enabled", "()", "Whether operations are recorded at present.")

text("neap.init_fill", "(way, tensor, generator, ...)", "What nn.init's functions do: fills a tensor in place; way: 'xavier_uniform' and so on.")
text("neap.gain", "(nonlinearity, parameter = 0.01)", "What nn.init.calculate_gain gives.")

-- ---- random numbers ----

text("neap.seed", "(n)", "Starts Neap's own random generator anew: what follows repeats.")
text("neap.manual_seed", "(n)", "The same as neap.seed, under PyTorch's name.")
text("neap.generator", "(seed = 0)", "A random generator of its own, for the option `generator` of what draws numbers.")
text("neap.Generator", "(seed = 0)", "The same as neap.generator, under PyTorch's name.")
text("neap.default_generator", "()", "Neap's own generator.")
text("generator:seed", "(n)", "Starts it anew; returns it.")
text("generator:manual_seed", "(n)", "Starts it anew; returns it.")
text("generator:initial_seed", "()", "The seed it was started with.")
text("generator:fork", "(key)", "An independent generator, made from this one's seed and the key alone.")
text("generator:get_state", "()", "Where it stands: {seed, offset}.")
text("generator:set_state", "(state)", "Goes on from what get_state gave.")

-- ---- files ----

text("neap.read_file", "(path)", "The bytes of a file, plain or gzip, as a string; or nil, message and code.")
text("neap.read_bytes", "(path)", "The bytes of a file, plain or gzip, as a uint8 tensor; or nil, message and code.")
text("neap.read_idx", "(path)", "A tensor from an IDX file, plain or gzip (MNIST's format); or nil, message and code.")
text("neap.read_png", "(path)", "An image (C, H, W) of uint8 from a PNG file; or nil, message and code.")
text("neap.write_png", "(path, x)", [[
Writes an image (H, W), (1, H, W) or (3, H, W), of uint8 or of floats in [0, 1]. Returns true, or nil, message and code.]])
text("neap.map_file", "(path, dtype, offset, shape)", [[
A part of a file as a read-only tensor that takes no memory; offset in bytes, from 0. Or nil, message and code.]])

-- ---- this Neap ----

text("neap.info", "()", "Version, instruction set, threads and BLAS, as a table.")
text("neap.dtypes", "()", "The names of all dtypes.")
text("neap.float32", "", "The text 'float32', as for every dtype and PyTorch's short names: {dtype = neap.int64}, x:to(neap.double).")
text("neap.promote", "(a, b)", "The dtype of a sum of tensors of two dtypes.")
text("neap.clock", "()", "Seconds since an arbitrary start, for measuring.")
text("neap.is_terminal", "(descriptor)", "Whether a standard stream (0, 1, 2) is a terminal.")
text("neap.terminal_width", "()", "The columns of the terminal on standard output, or nil.")
text("neap.ops", "()", "The table of ops: a list of rows with name, signature, doc, example, params, outputs, marks.")
text("neap.layer_rows", "()", "The table of layers, as neap.ops.")
text("neap.rule_rows", "()", "The table of update rules, as neap.ops.")
text("neap.schedule_rows", "()", "The table of schedules, as neap.ops.")
text("neap.schedule_at", "(name, base, steps, settings)", [[
The learning rate that a schedule makes of base after so many steps, and the momentum where it says one:
neap.schedule_at("StepLR", 0.1, 7, {step_size = 3}).]])
text("neap.plateau_step", "(measure, best, bad, rest, settings)", [[
What ReduceLROnPlateau does with a measure: whether to reduce, and the next best (nil: nothing measured yet), bad and rest.]])
text("neap.job", "(model, optimizer, loss)", [[
A training step in slices that fit a frame: job:begin(x, target), then job:step(budget_us) until it returns false. The model
is one of C's layers; loss: the name of an op of a prediction and a target.]])

-- ---- tensors ----

text("x.shape", "", "A tensor's sizes, a list: x.shape[1], from the end x.shape[-1]; tostring(x.shape) is \"(2, 3)\".")
text("x.dtype", "", "The name of its elements' type: \"float32\".")
text("x.grad", "", "Its gradient, or nil. Can be set, to nil too.")
text("x.requires_grad", "", "Whether gradients flow to it. Can be set on a leaf.")
text("x.is_leaf", "", "Whether it was made by hand, not by a recorded operation.")
text("x.T", "", "A view with all dimensions turned round: of a matrix, its transpose.")
text("x.mT", "", "A view with the last two dimensions exchanged: the transposes of matrices in a batch.")
text("x:item", "()", "The one element as a number or boolean.")
text("x:totable", "()", "Nested tables: integers for integer dtypes, booleans for bool; a number for 0 dimensions.")
text("x:tolist", "()", "The same as x:totable, under PyTorch's name.")
text("x:to_string", "()", "The elements as raw bytes, row-major and little-endian.")
text("x:dim", "()", "How many dimensions there are.")
text("x:ndim", "()", "The same as x:dim.")
text("x:numel", "()", "How many elements there are.")
text("x:nelement", "()", "The same as x:numel.")
text("x:size", "(dim)", "The size of a dimension; without one, all sizes.")
text("x:stride", "(dim)", "The distance, in elements, of neighbours along a dimension; without one, all.")
text("x:nbytes", "()", "Bytes of its elements.")
text("x:is_contiguous", "()", "Whether the elements lie in row-major order without gaps.")
text("x:is_floating_point", "()", "Whether the dtype is one of floating point.")
text("x:requires_grad_", "(on = true)", "Sets whether gradients flow to it; returns it.")
text("x:detach_", "()", "Drops its history; what was computed from it keeps its own. Returns it.")
text("x:free", "()", "Gives its memory back at once; using it after that raises.")

-- ---- modules and optimizers ----

text("neap.nn.Embedding.from_pretrained", "(weight, {freeze = true, padding_idx, max_norm, norm_type = 2, scale_grad_by_freq = false})",
  "An Embedding whose table is weight (num_embeddings, embedding_dim), whose memory it shares.")
text("module:forward", "(...)", "Computes; module(...) does the same, with hooks.")
text("module:append", "(layer)", "Puts a layer at the end of a container; returns the container.")
text("module:insert", "(i, layer)", "Puts a layer of a container before what is at position i; returns the container.")
text("module:extend", "(layers)", "Puts the layers of a list, or of another container, at the end of a container; returns it.")
text("module:pop", "(i = -1)", "Takes a layer out of a container, and returns it.")
text("module:name", "()", "The name of its class.")
text("module:train", "(on = true)", "Training mode for the whole tree, or the other one with false. Returns the module.")
text("module:eval", "()", "Evaluation mode: dropout and the like do nothing. Returns the module.")
text("module:is_training", "()", "Whether it is in training mode.")
text("module:is_waiting", "()", "Whether a size was left out and no input has come yet to take it from: then it has no parameters yet.")
text("module:zero_grad", "()", "Drops the gradients of all parameters.")
text("optimizer:name", "()", "The name of its rule.")

return texts
