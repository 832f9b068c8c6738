/** The OpenAPI 3.1 document of the control API, made from the endpoint table. */
import * as z from 'zod';
import './problem.ts';
import { type Endpoint, endpoints } from './endpoints.ts';

type Schemas = { [id: string]: Json };
type Json = string | number | boolean | null | undefined | Json[] | { [key: string]: Json };

/** The whole document; `version` is that of the control API. */
export function openApiDocument(version: string): { [key: string]: Json } {
  const inputs = inputForms();
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const operations = paths[endpoint.path] ?? {};
    operations[endpoint.method.toLowerCase()] = operationOf(name, endpoint, inputs);
    paths[endpoint.path] = operations;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Skep control API',
      version,
      description: 'Keeps clusters of BitTorrent nodes: creates them, hears them, heals them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: componentSchemas(inputs),
    },
  };
}

function operationOf(name: string, endpoint: Endpoint, inputs: Schemas): Json {
  const parameters = [...parametersOf(endpoint.params, 'path'), ...parametersOf(endpoint.query, 'query')];
  return {
    operationId: name,
    summary: endpoint.summary,
    description: `Access: ${endpoint.access}.`,
    ...(endpoint.access === 'anyone' || endpoint.access === 'joiner' ? {} : { security: [{ token: [] }] }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(endpoint.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(endpoint.body, inputs) } },
          },
        }),
    responses: {
      [String(endpoint.status)]: answerOf(endpoint),
      default: {
        description: 'A problem document (RFC 9457).',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function answerOf(endpoint: Endpoint): Json {
  if (endpoint.response === 'none') return { description: 'Done.' };
  if (typeof endpoint.response === 'string') {
    return { description: 'Done.', content: { [endpoint.response]: { schema: { type: 'string' } } } };
  }
  return {
    description: 'Done.',
    content: { 'application/json': { schema: schemaOf(endpoint.response) } },
  };
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path',
    schema: schemaOf(field as z.ZodType),
  }));
}

const reference = (id: string): string => `#/components/schemas/${id}`;

/**
 * Schemas with an id become references. A spec with defaults has an input form of its own: what may be left
 * out of a request is always there in an answer; `inputs` asks for that form.
 */
function schemaOf(schema: z.ZodType, inputs?: Schemas): Json {
  const id = schema.meta()?.id;
  if (id !== undefined) return { $ref: reference(inputs !== undefined && id in inputs ? `${id}Input` : id) };
  if (schema instanceof z.ZodArray) {
    return { type: 'array', items: schemaOf(schema.element as z.ZodType, inputs) };
  }
  const io = inputs === undefined ? 'output' : 'input';
  const { $defs: _, ...plain } = cleaned(z.toJSONSchema(schema, { io }));
  return JSON.parse(JSON.stringify(plain).replaceAll('#/$defs/', reference('')));
}

function componentSchemas(inputs: Schemas): Schemas {
  const renamed = Object.entries(inputs).map(([id, schema]) => [`${id}Input`, schema]);
  return { ...registered('output'), ...Object.fromEntries(renamed) };
}

/** Registered schemas whose input form differs from the output form in more than strictness. */
function inputForms(): Schemas {
  const comparable = (schema: Json) =>
    JSON.stringify(schema, (key, value) => (key === 'additionalProperties' ? undefined : value));
  const output = registered('output');
  return Object.fromEntries(
    Object.entries(registered('input')).filter(
      ([id, schema]) => comparable(schema) !== comparable(output[id]),
    ),
  );
}

function registered(io: 'input' | 'output'): Schemas {
  const { schemas } = z.toJSONSchema(z.globalRegistry, { io, uri: reference });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, cleaned(schema)]));
}

function cleaned(schema: object): Schemas {
  const { $schema: _schema, $id: _id, ...rest } = schema as Schemas;
  return rest;
}
