package publish

import "github.com/svidhelper/svidhelper/helper/ask"

// listen answers on a socket beside each set that is open and has none. Where it
// cannot be made the log says so, once.
func (r *Publisher) listen() {
	for _, o := range r.outputs {
		if r.plan.Answer == nil || o.dir == nil || o.asked && (o.asking == nil || !o.asking.Lost()) {
			continue
		}
		o.unlisten()
		o.asked = true
		s, err := ask.Serve(o.spec.Dir, o.spec.Set, r.plan.Answer)
		if err != nil {
			o.log.Info("check -ready cannot ask here: probe /ready of health instead", "error", err)
			continue
		}
		o.asking = s
	}
}

// unlisten ends the answers.
func (o *output) unlisten() {
	if o.asking != nil {
		o.asking.Close()
	}
	o.asking, o.asked = nil, false
}
