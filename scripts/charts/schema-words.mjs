/** Words for values.schema.json (draft-07): each takes what the value means, since it stands in editors and in errors. */

export const text = (description, more = {}) => ({ type: 'string', description, ...more });
export const flag = (description) => ({ type: 'boolean', description });
export const count = (description, minimum = 0, more = {}) => ({ type: 'integer', minimum, description, ...more });
export const choice = (description, ...values) => ({ enum: values, description });
/** A list of Kubernetes' own objects, which the API server checks. */
export const list = (description) => ({ type: 'array', items: { type: 'object' }, description });
export const texts = (description) => ({ type: 'array', items: { type: 'string' }, description });
/** A map of Kubernetes' own. */
export const map = (description) => ({ type: 'object', description });
export const labels = (description) => ({
  type: 'object',
  description,
  additionalProperties: { type: ['string', 'null'] },
});
/** An object with these keys and no others. */
export const closed = (description, properties, more = {}) => ({
  type: 'object',
  description,
  additionalProperties: false,
  properties,
  ...more,
});
/** Also null, which takes a default away. */
export const orNull = (schema) => ({ ...schema, type: [schema.type, 'null'] });
/** A count, or a share such as 25%. */
export const countOrShare = (description) => ({
  type: ['integer', 'string', 'null'],
  minimum: 0,
  description,
});
