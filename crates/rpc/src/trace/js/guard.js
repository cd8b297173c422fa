// Called with the tracer of a request, gives what the inspector runs in its place. The inspector drops what
// a callback throws and has no word for one that ran into a limit of the engine, which no `catch` sees; here
// both are kept for the answer of `result`. A tracer that failed once is not called again.
(function (tracer) {
  if (typeof tracer !== 'object' || tracer === null) return tracer;
  let failure, running;

  const failed = (name, reason) => `${reason} in server-side tracer function '${name}'`;
  const text = (error) => {
    try {
      return String(error);
    } catch {
      return 'exception';
    }
  };
  const stopped = () => {
    if (running !== undefined) {
      failure = failed(running, 'limit of loops or recursion exceeded');
      running = undefined;
    }
    return failure !== undefined;
  };
  const guarded = (name) => typeof tracer[name] !== 'function' ? tracer[name] : (a, b) => {
    if (stopped()) return;
    running = name;
    try {
      tracer[name](a, b);
    } catch (error) {
      failure = failed(name, text(error));
    }
    running = undefined;
  };

  return {
    step: guarded('step'),
    fault: guarded('fault'),
    enter: guarded('enter'),
    exit: guarded('exit'),
    // geth gives the configuration as JSON text, reth as an object; this is both.
    setup: typeof tracer.setup !== 'function' ? tracer.setup : (config) => {
      config = config ?? {};
      const json = JSON.stringify(config);
      if (typeof config === 'object') Object.defineProperty(config, 'toString', { value: () => json });
      tracer.setup(config);
    },
    result: typeof tracer.result !== 'function' ? tracer.result : (context, db) => {
      if (stopped()) return { failure };
      try {
        return { value: tracer.result(context, db) };
      } catch (error) {
        return { failure: failed('result', text(error)) };
      }
    },
  };
})
