//! A bare pass-through: what workerd and its harness cost, whatever a Worker does.

export default {
  fetch(request, env) {
    return fetch(env.PROVIDER + new URL(request.url).pathname, request);
  },
};
