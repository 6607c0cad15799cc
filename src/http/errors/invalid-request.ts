import { ServiceError } from '../../errors.ts';

/** A request that is at fault, with the field to blame. */
export const invalidRequest = (param: string | null, message: string): ServiceError =>
  new ServiceError('invalid_request', message, param === null ? {} : { param });
