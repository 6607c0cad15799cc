import { expect, it } from 'vitest';
import { GraphBuilder } from '../../src/export/onnx/graph-builder.ts';
import { writeModel } from '../../src/export/onnx/model-file.ts';
import { fromStorage, toStorage } from '../support/float-storage.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

describeNative('NativeGraph', ({ addon, library }) => {
  it('refuses bindings whose outputs it could mix up', async () => {
    const graph = new GraphBuilder('half');
    graph.input('x', 'float16', ['n']);
    graph.output(graph.add('Identity', 'y', ['x']), 'float16', ['n']);
    const folder = await temporaryFolder();
    await writeModel(folder, graph, { producerVersion: 'test', functions: [], opsets: [] });
    const session = new addon.NativeGraph(library);
    const x = {
      element: 'float16' as const,
      dims: [3],
      data: toStorage('float16', Float32Array.of(1, 2, 3)),
    };
    try {
      await session.load({ path: `${folder}/half.onnx`, threads: 1, kernels: false });
      expect(() => session.bind({ x }, ['y', 'y'])).toThrow('output y is named twice');
      session.bind({ x }, ['y']);
      const { y } = await session.run();
      expect(y).toMatchObject({ element: 'float16', dims: [3] });
      expect([...fromStorage('float16', y!.data)]).toEqual([1, 2, 3]);
      expect(() => session.bind({ x }, ['y'], { z: 'gone' })).toThrow(/is not bound/);
      expect(await session.run()).toEqual({});
    } finally {
      await session.close();
    }
  });
});
